//! Parquet shards with the hub's image and label columns.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use parquet::basic::{Compression, LogicalType, Repetition, Type as PhysicalType};
use parquet::column::reader::ColumnReader;
use parquet::data_type::{ByteArray, ByteArrayType, FloatType, Int32Type, Int64Type};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::{Type, TypePtr};

use super::manifest::ManifestRow;
use crate::{Error, Result};

/// Images of the plan per shard, those rejected among them.
pub(crate) const SHARD_IMAGES: u64 = 1000;

/// Path of a shard inside the job's folder.
pub(crate) fn file_name(shard: u64) -> String {
    format!("data/train-{shard:05}.parquet")
}

/// The columns in order, with what the hub calls their types.
const TEXT: &str = "string";
const COLUMNS: [(&str, PhysicalType, &str); 13] = [
    ("label", PhysicalType::INT64, ""),
    ("domain", PhysicalType::BYTE_ARRAY, TEXT),
    ("prompt", PhysicalType::BYTE_ARRAY, TEXT),
    ("negative", PhysicalType::BYTE_ARRAY, TEXT),
    ("cut", PhysicalType::BYTE_ARRAY, TEXT),
    ("negative_cut", PhysicalType::BYTE_ARRAY, TEXT),
    ("index", PhysicalType::INT64, "int64"),
    ("seed", PhysicalType::BYTE_ARRAY, TEXT),
    ("steps", PhysicalType::INT32, "int32"),
    ("guidance", PhysicalType::FLOAT, "float32"),
    ("sampler", PhysicalType::BYTE_ARRAY, TEXT),
    ("engine", PhysicalType::BYTE_ARRAY, TEXT),
    ("weights_hash", PhysicalType::BYTE_ARRAY, TEXT),
];

/// The bytes of one shard: a single row group of the accepted images, PNG bytes beside their rows.
pub(crate) fn encode<'a>(
    images: impl Iterator<Item = Result<(&'a ManifestRow, Vec<u8>)>>,
    class_names: &[String],
) -> Result<Vec<u8>> {
    let (mut rows, mut pngs, mut paths) = (Vec::new(), Vec::new(), Vec::new());
    for image in images {
        let (row, png) = image?;
        rows.push(row);
        pngs.push(ByteArray::from(png));
        paths.push(text(format!("{:08}.png", row.index)));
    }
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_created_by(concat!("promptfed ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_key_value_metadata(Some(vec![KeyValue::new(
            "huggingface".to_owned(),
            features(class_names)?,
        )]))
        .build();
    let mut bytes = Vec::new();
    let mut file = SerializedFileWriter::new(&mut bytes, schema()?, Arc::new(properties))?;
    let mut group = file.next_row_group()?;
    // A picture has two optional levels above its bytes, every other value one.
    write::<ByteArrayType>(&mut group, &pngs, &vec![2; rows.len()])?;
    write::<ByteArrayType>(&mut group, &paths, &vec![2; rows.len()])?;
    let all = vec![1; rows.len()];
    let labels: Vec<i64> = rows.iter().map(|r| i64::from(r.class)).collect();
    write::<Int64Type>(&mut group, &labels, &all)?;
    write_optional(&mut group, &rows, |r| r.domain.clone())?;
    let texts =
        |of: fn(&ManifestRow) -> String| rows.iter().map(|r| text(of(r))).collect::<Vec<_>>();
    write::<ByteArrayType>(&mut group, &texts(|r| r.prompt.clone()), &all)?;
    write::<ByteArrayType>(&mut group, &texts(|r| r.negative.clone()), &all)?;
    write_optional(&mut group, &rows, |r| r.cut.clone())?;
    write_optional(&mut group, &rows, |r| r.negative_cut.clone())?;
    let indices: Vec<i64> = rows.iter().map(|r| r.index as i64).collect();
    write::<Int64Type>(&mut group, &indices, &all)?;
    write::<ByteArrayType>(&mut group, &texts(|r| r.seed.to_string()), &all)?;
    let steps: Vec<i32> = rows.iter().map(|r| r.steps as i32).collect();
    write::<Int32Type>(&mut group, &steps, &all)?;
    let guidance: Vec<f32> = rows.iter().map(|r| r.guidance).collect();
    write::<FloatType>(&mut group, &guidance, &all)?;
    write::<ByteArrayType>(&mut group, &texts(|r| r.sampler.to_string()), &all)?;
    write::<ByteArrayType>(
        &mut group,
        &texts(|r| format!("{} {}", r.engine, r.engine_version)),
        &all,
    )?;
    write::<ByteArrayType>(&mut group, &texts(|r| r.weights_hash.to_string()), &all)?;
    group.close()?;
    file.close()?;
    Ok(bytes)
}

/// The PNG bytes of a shard's images by their indices.
///
/// # Errors
/// A file that is missing, damaged, or no shard of a job.
pub(super) fn decode(path: &Path) -> Result<HashMap<u64, Vec<u8>>> {
    // The library asserts some of what a damaged file's metadata promises.
    let read = std::panic::catch_unwind(|| read(path));
    read.unwrap_or_else(|_| Err(damaged(path)))
}

fn read(path: &Path) -> Result<HashMap<u64, Vec<u8>>> {
    let (file, _) = fs_err::File::open(path)?.into_parts();
    let reader = SerializedFileReader::new(file)?;
    let leaves = reader.metadata().file_metadata().schema_descr().columns();
    let leaf = |name: &str| {
        let leaf = leaves.iter().position(|leaf| leaf.path().string() == name);
        leaf.ok_or_else(|| damaged(path))
    };
    let (png, index) = (leaf("image.bytes")?, leaf("index")?);
    let mut images = HashMap::new();
    for i in 0..reader.num_row_groups() {
        let group = reader.get_row_group(i)?;
        let rows = usize::try_from(group.metadata().num_rows()).map_err(|_| damaged(path))?;
        let (mut indices, mut pngs): (Vec<i64>, Vec<ByteArray>) = (Vec::new(), Vec::new());
        let (
            ColumnReader::Int64ColumnReader(mut numbers),
            ColumnReader::ByteArrayColumnReader(mut bytes),
        ) = (
            group.get_column_reader(index)?,
            group.get_column_reader(png)?,
        )
        else {
            return Err(damaged(path));
        };
        // No value of a job's shard is null.
        read_all(rows, |n| {
            Ok(numbers
                .read_records(n, Some(&mut Vec::new()), None, &mut indices)?
                .0)
        })?;
        read_all(rows, |n| {
            Ok(bytes
                .read_records(n, Some(&mut Vec::new()), None, &mut pngs)?
                .0)
        })?;
        if indices.len() != rows || pngs.len() != rows {
            return Err(damaged(path));
        }
        let indices = indices.into_iter().map(|index| index as u64);
        images.extend(indices.zip(pngs.iter().map(|png| png.data().to_vec())));
    }
    Ok(images)
}

/// Reads until `rows` records are there or none is left.
fn read_all(rows: usize, mut read: impl FnMut(usize) -> Result<usize>) -> Result<()> {
    let mut there = 0;
    while there < rows {
        match read(rows - there)? {
            0 => break,
            n => there += n,
        }
    }
    Ok(())
}

fn damaged(path: &Path) -> Error {
    Error::Output {
        file: path.to_owned(),
        reason: "not a whole shard of a job".into(),
    }
}

fn text(value: String) -> ByteArray {
    ByteArray::from(value.into_bytes())
}

/// Writes the next column: its values, and for every row how many optional levels are present.
fn write<T: parquet::data_type::DataType>(
    group: &mut SerializedRowGroupWriter<'_, &mut Vec<u8>>,
    values: &[T::T],
    levels: &[i16],
) -> Result<()> {
    let mut column = group
        .next_column()?
        .ok_or_else(|| Error::Spec("a shard has more values than columns".into()))?;
    column
        .typed::<T>()
        .write_batch(values, Some(levels), None)?;
    Ok(column.close()?)
}

/// Writes the next column of texts, which not every row has.
fn write_optional(
    group: &mut SerializedRowGroupWriter<'_, &mut Vec<u8>>,
    rows: &[&ManifestRow],
    of: impl Fn(&ManifestRow) -> Option<String>,
) -> Result<()> {
    let texts: Vec<Option<String>> = rows.iter().map(|row| of(row)).collect();
    let present: Vec<i16> = texts.iter().map(|t| i16::from(t.is_some())).collect();
    let texts: Vec<ByteArray> = texts.into_iter().flatten().map(text).collect();
    write::<ByteArrayType>(group, &texts, &present)
}

fn schema() -> Result<TypePtr> {
    let optional = |name: &str, physical: PhysicalType, is_text: bool| -> Result<TypePtr> {
        let mut builder =
            Type::primitive_type_builder(name, physical).with_repetition(Repetition::OPTIONAL);
        if is_text {
            builder = builder.with_logical_type(Some(LogicalType::String));
        }
        Ok(Arc::new(builder.build()?))
    };
    let picture = Type::group_type_builder("image")
        .with_repetition(Repetition::OPTIONAL)
        .with_fields(vec![
            optional("bytes", PhysicalType::BYTE_ARRAY, false)?,
            optional("path", PhysicalType::BYTE_ARRAY, true)?,
        ])
        .build()?;
    let mut fields = vec![Arc::new(picture)];
    for (name, physical, kind) in COLUMNS {
        fields.push(optional(name, physical, kind == TEXT)?);
    }
    Ok(Arc::new(
        Type::group_type_builder("schema")
            .with_fields(fields)
            .build()?,
    ))
}

/// The hub's description of the columns.
fn features(class_names: &[String]) -> Result<String> {
    let mut features = serde_json::Map::new();
    features.insert("image".into(), serde_json::json!({"_type": "Image"}));
    for (name, _, kind) in COLUMNS {
        let feature = match name {
            "label" => serde_json::json!({"names": class_names, "_type": "ClassLabel"}),
            _ => serde_json::json!({"dtype": kind, "_type": "Value"}),
        };
        features.insert(name.into(), feature);
    }
    Ok(serde_json::json!({"info": {"features": features}}).to_string())
}
