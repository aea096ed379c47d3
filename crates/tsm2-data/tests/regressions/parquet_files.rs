//! Parquet files, as data frame libraries and databases write them.

use std::sync::Arc;

use parquet::basic::{Compression, ZstdLevel};
use parquet::column::writer::ColumnWriter;
use parquet::data_type::ByteArray;
use parquet::file::metadata::{ParquetMetaDataReader, ParquetMetaDataWriter};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use tsm2_data::Kind;

use crate::{assert_ten_minutes, error, names, read, reading};

const SCHEMA: &str = "message recording {
    required int64 time (TIMESTAMP(MICROS, true));
    optional double temp;
    required float power;
    required boolean pump;
    required int32 level (DECIMAL(9, 2));
    required binary room (STRING);
    optional group tags (LIST) { repeated group list { optional int32 element; } }
}";

const ROWS: usize = 3000;

/// Two row groups; every seventh temperature is missing.
fn file(compression: Compression) -> Vec<u8> {
    let schema = Arc::new(parse_message_type(SCHEMA).unwrap());
    let properties = Arc::new(WriterProperties::builder().set_compression(compression).build());
    let mut bytes = Vec::new();
    let mut writer = SerializedFileWriter::new(&mut bytes, schema, properties).unwrap();
    for rows in [0..2000, 2000..ROWS] {
        let mut group = writer.next_row_group().unwrap();
        let mut column = 0;
        while let Some(mut open) = group.next_column().unwrap() {
            match open.untyped() {
                ColumnWriter::Int64ColumnWriter(writer) => {
                    let times: Vec<i64> = rows.clone().map(|row| (1_709_510_400 + 600 * row as i64) * 1_000_000).collect();
                    writer.write_batch(&times, None, None).unwrap();
                }
                ColumnWriter::DoubleColumnWriter(writer) => {
                    let levels: Vec<i16> = rows.clone().map(|row| i16::from(row % 7 > 0)).collect();
                    let values: Vec<f64> = rows.clone().filter(|row| row % 7 > 0).map(|row| reading(row).into()).collect();
                    writer.write_batch(&values, Some(&levels), None).unwrap();
                }
                ColumnWriter::FloatColumnWriter(writer) => {
                    let values: Vec<f32> = rows.clone().map(|row| 1e-3 / (row as f32 + 3.0)).collect();
                    writer.write_batch(&values, None, None).unwrap();
                }
                ColumnWriter::BoolColumnWriter(writer) => {
                    let values: Vec<bool> = rows.clone().map(|row| row % 3 == 0).collect();
                    writer.write_batch(&values, None, None).unwrap();
                }
                ColumnWriter::Int32ColumnWriter(writer) if column == 4 => {
                    let values: Vec<i32> = rows.clone().map(|row| -250 + row as i32 * 7 % 31).collect();
                    writer.write_batch(&values, None, None).unwrap();
                }
                ColumnWriter::Int32ColumnWriter(writer) => {
                    writer
                        .write_batch(&[], Some(&vec![0; rows.len()]), Some(&vec![0; rows.len()]))
                        .unwrap();
                }
                ColumnWriter::ByteArrayColumnWriter(writer) => {
                    let values: Vec<ByteArray> = rows.clone().map(|_| "a \"large\", hall".into()).collect();
                    writer.write_batch(&values, None, None).unwrap();
                }
                _ => panic!("column {column}"),
            }
            open.close().unwrap();
            column += 1;
        }
        group.close().unwrap();
    }
    writer.close().unwrap();
    bytes
}

#[test]
fn a_parquet_file_is_a_recording() {
    let zstd = Compression::ZSTD(ZstdLevel::default());
    for compression in [Compression::UNCOMPRESSED, Compression::SNAPPY, Compression::LZ4_RAW, zstd] {
        let (recording, report) = read(file(compression));
        assert_ten_minutes(&report);
        assert_eq!((names(&report), report.rows), (vec!["temp", "power", "pump", "level"], ROWS as u64));
        assert_eq!(report.variates[2].kind, Kind::OnOff);
        assert_eq!(report.variates[0].missing, ROWS.div_ceil(7) as u64);
        let reasons: Vec<&str> = report.dropped_columns.iter().map(|column| column.reason.as_str()).collect();
        assert_eq!(reasons, ["text: `a \"large\", hall` throughout", "text: `list` throughout"]);
        for row in 0..ROWS {
            let read = recording.series[0].row(row, 4);
            let temp = if row % 7 > 0 { reading(row) } else { f32::NAN };
            let expected = [
                temp,
                1e-3 / (row as f32 + 3.0),
                f32::from(u8::from(row % 3 == 0)),
                (-250 + row as i32 * 7 % 31) as f32 / 100.0,
            ];
            assert_eq!(read.map_bits(), expected.map_bits(), "row {row}");
        }
    }
}

/// Bits, so that missing readings compare.
trait Bits {
    fn map_bits(&self) -> Vec<u32>;
}

impl Bits for [f32] {
    fn map_bits(&self) -> Vec<u32> {
        self.iter().map(|value| value.to_bits()).collect()
    }
}

#[test]
fn a_parquet_file_that_is_cut_or_spoiled_is_refused() {
    let whole = file(Compression::SNAPPY);
    for length in [4, 100, whole.len() / 2, whole.len() - 5] {
        assert!(!error(&whole[..length]).is_empty());
    }
    // Whatever a spoiled byte does, it ends in an error or a recording.
    for at in (4..whole.len()).step_by(whole.len() / 97) {
        let mut spoiled = whole.clone();
        spoiled[at] ^= 0x55;
        let _ = crate::read_with(spoiled, &tsm2_data::Options::default());
    }
}

/// Rows of a time, a number, and the value of `last`, whose column has this type.
fn with_column(last: &str, value: impl Fn(usize) -> Vec<u8>) -> Vec<u8> {
    let schema = format!("message recording {{ required int64 time (TIMESTAMP(MILLIS, true)); required double x; required {last}; }}");
    let schema = Arc::new(parse_message_type(&schema).unwrap());
    let mut bytes = Vec::new();
    let mut writer = SerializedFileWriter::new(&mut bytes, schema, Arc::new(WriterProperties::new())).unwrap();
    let mut group = writer.next_row_group().unwrap();
    while let Some(mut open) = group.next_column().unwrap() {
        match open.untyped() {
            ColumnWriter::Int64ColumnWriter(writer) => {
                let times: Vec<i64> = (0..60).map(|row| (1_709_510_400 + 600 * row) * 1000).collect();
                writer.write_batch(&times, None, None).unwrap();
            }
            ColumnWriter::DoubleColumnWriter(writer) => {
                let values: Vec<f64> = (0..60).map(|row| reading(row).into()).collect();
                writer.write_batch(&values, None, None).unwrap();
            }
            ColumnWriter::ByteArrayColumnWriter(writer) => {
                let values: Vec<ByteArray> = (0..60).map(|row| value(row).into()).collect();
                writer.write_batch(&values, None, None).unwrap();
            }
            ColumnWriter::FixedLenByteArrayColumnWriter(writer) => {
                let values: Vec<_> = (0..60).map(|row| ByteArray::from(value(row)).into()).collect();
                writer.write_batch(&values, None, None).unwrap();
            }
            _ => panic!("another column"),
        }
        open.close().unwrap();
    }
    group.close().unwrap();
    writer.close().unwrap();
    bytes
}

#[test]
fn a_decimal_of_many_digits_stopped_the_program() {
    // Hundredths, with the sign carried on through 20 bytes.
    let cents = |row: usize| [[0xff; 12].as_slice(), &(-100 - row as i64 * row as i64 % 64).to_be_bytes()].concat();
    let (recording, report) = read(with_column("binary y (DECIMAL(38, 2))", cents));
    assert_eq!(names(&report), ["x", "y"]);
    assert_eq!(recording.series[0].row(7, 2)[1], -1.49);
    let least = |row: usize| (i128::MIN + row as i128 % 3).to_be_bytes().to_vec();
    let (recording, _) = read(with_column("binary y (DECIMAL(39, 2))", least));
    assert_eq!(recording.series[0].row(0, 2)[1], -1.701_411_8e36);
    let of_17_bytes = |row: usize| [&[1u8; 16], [row as u8].as_slice()].concat();
    for (column, value) in [
        ("binary y (DECIMAL(70000, 66000))", &cents as &dyn Fn(usize) -> Vec<u8>),
        ("binary y (DECIMAL(50, 39))", &cents),
        ("binary y (DECIMAL(50, 2))", &of_17_bytes),
    ] {
        let (_, report) = read(with_column(column, value));
        assert_eq!(names(&report), ["x"]);
        assert_eq!(report.dropped_columns[0].reason, "text: `decimal` throughout", "{column}");
    }
}

#[test]
fn numbers_of_half_precision_were_reported_as_a_list() {
    let (_, report) = read(with_column("fixed_len_byte_array(2) y (FLOAT16)", |row| vec![row as u8, 0x4c]));
    assert_eq!(names(&report), ["x"]);
    assert_eq!(report.dropped_columns[0].reason, "text: `float16` throughout");
}

#[test]
fn a_file_that_claims_more_rows_than_memory_holds_was_read_until_it_ended() {
    let mut bytes = file(Compression::SNAPPY);
    let metadata = ParquetMetaDataReader::new()
        .parse_and_finish(&bytes::Bytes::copy_from_slice(&bytes))
        .unwrap();
    let groups = metadata.row_groups().iter().cloned();
    let groups = groups
        .map(|group| group.into_builder().set_num_rows(1 << 40).build().unwrap())
        .collect();
    let metadata = metadata.into_builder().set_row_groups(groups).build();
    ParquetMetaDataWriter::new(&mut bytes, &metadata).finish().unwrap();
    let message = error(bytes);
    assert!(message.contains("2199023255552 rows of 7 columns"), "{message}");
}
