// Looks at the dashboard in a headless Chromium. The Rust test `browser` starts it beside a server of its own: a line on standard output that begins
// with "do " asks it for something, and the answer is a line on standard input.

import assert from "node:assert/strict";
import readline from "node:readline";

import axe from "axe-core";
import { chromium } from "playwright-core";

const { DASHBOARD_URL: url, DASHBOARD_TOKEN: token, DASHBOARD_CHROMIUM: executablePath } = process.env;
const { DASHBOARD_DONE: done, DASHBOARD_LIVE: live } = process.env;
const at = (path) => `${url}/dashboard${path}`;

const answers = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]();
async function ask(what) {
  console.log(`do ${what}`);
  const { value } = await answers.next();
  assert.equal(value, "done", `${what}: ${value}`);
}

// Whatever a page complains of, and whatever a caption gets to run.
const faults = [];
function watch(page, isDown = () => false) {
  page.on("dialog", (dialog) => {
    faults.push(`dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  page.on("pageerror", (error) => faults.push(`error: ${error}`));
  page.on("console", (message) => {
    // That a server is away is told by browser and htmx alike.
    if (message.type() === "error" && !isDown()) {
      faults.push(`console: ${message.text()}`);
    }
  });
}

async function signIn(page) {
  await page.goto(at(""));
  assert.equal(page.url(), at("/sign-in"));
  await page.getByLabel("Token").fill(token);
  await page.keyboard.press("Enter");
  await page.waitForURL(at(""));
}

async function findings(page) {
  await page.evaluate(axe.source);
  return page.evaluate(async () => {
    const only = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"];
    const { violations } = await window.axe.run(document, { runOnly: only });
    return violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(" | ")}`);
  });
}

async function liveProgress(context) {
  const page = await context.newPage();
  let isDown = false;
  watch(page, () => isDown);
  await page.goto(at(`/rounds/${live}`));
  const entries = (text) => page.locator("#entries li", { hasText: text });
  await entries("client 1 submitted").waitFor();
  // A page that is loaded again has lost this.
  await page.evaluate(() => { window.sameAsBefore = true; });

  await ask("submit b");
  await entries("client 2 submitted").waitFor();
  await page.locator("#members", { hasText: "2 clients have submitted" }).waitFor();

  isDown = true;
  await ask("restart and submit c and d");
  await entries("client 4 submitted").waitFor({ timeout: 60_000 });
  isDown = false;
  for (const client of [1, 2, 3, 4]) {
    assert.equal(await entries(`client ${client} submitted`).count(), 1, `client ${client}`);
  }
  const numbers = await page.locator("#entries li").evaluateAll((all) => all.map((li) => Number(li.dataset.number)));
  const sorted = [...new Set(numbers)].sort((a, b) => b - a);
  assert.deepEqual(numbers, sorted, "the latest first, and each once");

  const bar = page.locator("#standing progress").waitFor({ timeout: 120_000 });
  const drawing = page.locator("#strip rect.being-drawn").first().waitFor({ state: "attached", timeout: 120_000 });
  await ask("close");
  await bar;
  await drawing;
  await page.locator("#standing strong", { hasText: "done" }).waitFor({ timeout: 300_000 });
  await page.locator("#results svg.chart").waitFor();
  // One cell for each stretch, all drawn; the other rectangles explain the marks.
  await page.locator("#strip svg.strip[aria-label*='100 drawn, 0 being drawn']").waitFor();
  assert.equal(await page.locator("#strip svg.strip rect.drawn").count(), 100);
  await page.locator("#actions button").first().waitFor({ state: "detached" });
  assert.equal(await page.evaluate(() => window.sameAsBefore), true, "the page was loaded again");
  await page.close();
}

async function captionsAreInert(context) {
  const page = await context.newPage();
  watch(page);
  const isInert = async () => {
    assert.equal(await page.evaluate(() => window.captionRan), undefined);
    assert.equal(await page.locator("main script, main img[src='x'], main svg[onload]").count(), 0);
  };
  await page.goto(at(`/rounds/${done}/prompts/1`));
  await page.getByText("window.captionRan").first().waitFor();
  await isInert();
  await page.goto(at(`/rounds/${done}/images`));
  const images = page.locator(".gallery a");
  const count = Math.min(await images.count(), 8);
  assert.ok(count > 0);
  for (let i = 0; i < count; i += 1) {
    const name = await images.nth(i).locator("img").getAttribute("alt");
    const number = /image (\d+) of/.exec(name)[1];
    await images.nth(i).focus();
    await page.keyboard.press("Enter");
    await page.locator("#lineage h2", { hasText: new RegExp(`^Image ${number}$`) }).waitFor();
    await isInert();
  }
  // What was asked for by keyboard is where the keyboard is.
  assert.equal(await page.evaluate(() => document.activeElement.closest("#lineage") !== null), true);
  assert.equal(page.url(), at(`/rounds/${done}/images`));
  await page.close();
}

async function everybodyCanUseIt(browser) {
  const paths = ["", "/clients", "/audit", "/server", "/access", "/compare", `/compare?run=${done}.1&run=${live}.1`, `/rounds/${done}`, `/rounds/${done}/images`,
    `/rounds/${done}/image?source=${encodeURIComponent(process.env.DASHBOARD_ENGINE)}&index=0`,
    `/rounds/${done}/prompts`, `/rounds/${done}/prompts/1`, "/rounds/9999"];
  const views = [
    { colorScheme: "light", viewport: { width: 1280, height: 800 } },
    { colorScheme: "dark", viewport: { width: 1280, height: 800 } },
    { colorScheme: "light", viewport: { width: 360, height: 740 } },
  ];
  for (const view of views) {
    const context = await browser.newContext(view);
    const page = await context.newPage();
    await page.goto(at("/sign-in"));
    assert.deepEqual(await findings(page), [], "sign-in");
    await signIn(page);
    for (const path of paths) {
      await page.goto(at(path));
      assert.deepEqual(await findings(page), [], `${path} ${view.colorScheme}`);
      const width = await page.evaluate(() => document.documentElement.scrollWidth);
      assert.ok(width <= view.viewport.width, `${path} is ${width} wide in ${view.viewport.width}`);
    }
    await context.close();
  }
}

async function runsAreCompared(context) {
  const page = await context.newPage();
  watch(page);
  await page.goto(at(""));
  await page.getByRole("link", { name: "Compare" }).click();
  for (const round of [done, live]) {
    await page.getByLabel(new RegExp(`Round ${round}:`)).check();
  }
  await page.getByRole("button", { name: "Compare" }).click();
  await page.getByRole("heading", { name: "Settings that differ" }).waitFor();
  assert.equal(await page.getByRole("checkbox", { checked: true }).count(), 2);
  assert.equal(await page.locator("svg.chart").first().locator("polyline").count(), 2);
  await page.close();
}

async function keyboardReachesTheContent(context) {
  const page = await context.newPage();
  await page.goto(at(""));
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "Skip to the content");
  await page.keyboard.press("Enter");
  assert.equal(await page.evaluate(() => document.activeElement.id), "main");
  await page.close();
}

async function worksWithoutScripts(browser) {
  const context = await browser.newContext({ javaScriptEnabled: false });
  const page = await context.newPage();
  await signIn(page);
  await page.locator(`a[href="/dashboard/rounds/${done}"]`).click();
  await page.locator("#strip svg.strip").waitFor();
  await page.getByRole("link", { name: "Images" }).click();
  await page.getByLabel("Class").selectOption({ index: 1 });
  await page.getByRole("button", { name: "Show" }).click();
  assert.match(page.url(), /class=/);
  await page.locator(".gallery a").first().click();
  await page.getByRole("heading", { level: 1, name: /^Image/ }).waitFor();
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.waitForURL(at("/sign-in"));
  await page.goto(at(""));
  assert.equal(page.url(), at("/sign-in"));
  await context.close();
}

const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
try {
  const context = await browser.newContext();
  const first = await context.newPage();
  watch(first);
  await signIn(first);
  await first.close();
  await liveProgress(context);
  await captionsAreInert(context);
  await runsAreCompared(context);
  await keyboardReachesTheContent(context);
  await everybodyCanUseIt(browser);
  await worksWithoutScripts(browser);
  assert.deepEqual(faults, []);
  console.log("ok");
} finally {
  await browser.close();
}
process.exit(0);
