#!/bin/sh
# Makes a folder with what `cargo build --features cuda` needs of CUDA 13.0 out of NVIDIA's packages on PyPI: the compiler, the
# headers, the libraries, and a stand-in to link with for the driver's own library, which only machines with a graphics card have.
#
#   docs/cuda_toolkit.sh DIR && . DIR/env && cargo build --release --features cuda
#
# Needs python3 with pip, cargo and a C compiler. Takes 1.3 GB. A system CUDA needs none of this.
set -eu

[ $# -eq 1 ] || { echo "usage: $0 DIR" >&2; exit 2; }
mkdir -p "$1"
dir=$(cd "$1" && pwd)

python3 -m pip install --quiet --no-deps --target "$dir/wheels" \
    nvidia-cuda-nvcc==13.0.88 nvidia-nvvm==13.0.88 nvidia-cuda-crt==13.0.88 nvidia-cuda-runtime==13.0.96 \
    nvidia-cuda-cccl==13.0.85 nvidia-curand==10.4.0.35 nvidia-cublas==13.1.0.3 nvidia-cuda-nvrtc==13.0.88
toolkit="$dir/wheels/nvidia/cu13"

for part in bin include nvvm; do
    ln -sfn "$toolkit/$part" "$dir/$part"
done
chmod +x "$toolkit"/bin/* "$toolkit"/nvvm/bin/* 2>/dev/null || true
mkdir -p "$dir/lib64/stubs"
for file in "$toolkit"/lib/*.so.* "$toolkit"/lib/*.a; do
    name=$(basename "$file")
    ln -sf "$file" "$dir/lib64/$name"
    case $name in *.so.*) ln -sf "$file" "$dir/lib64/${name%%.so.*}.so" ;; esac
done

# The driver's library is named by what the bindings declare; every function of the stand-in does nothing.
cargo fetch --locked --quiet
bindings=$(ls -d "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*/cudarc-*/src/driver/sys/mod.rs | tail -n 1)
grep -o 'fn cu[A-Z][A-Za-z0-9_]*' "$bindings" | sort -u | sed 's/^fn \(.*\)/void \1(void) {}/' > "$dir/stub.c"
cc -shared -fPIC -Wl,-soname,libcuda.so.1 -o "$dir/lib64/stubs/libcuda.so" "$dir/stub.c"

cat > "$dir/env" <<END
export CUDA_HOME="$dir" PATH="$dir/bin:\$PATH"
export LIBRARY_PATH="$dir/lib64:$dir/lib64/stubs\${LIBRARY_PATH:+:\$LIBRARY_PATH}"
export LD_LIBRARY_PATH="$dir/lib64\${LD_LIBRARY_PATH:+:\$LD_LIBRARY_PATH}"
export CUDA_COMPUTE_CAP="\${CUDA_COMPUTE_CAP:-90}"
END
echo "now: . $dir/env && cargo build --release --features cuda"
