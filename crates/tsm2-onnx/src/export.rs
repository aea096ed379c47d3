//! A bundle's step as an ONNX graph.

use prost::Message;
use tsm2_bundle::Bundle;

use crate::bounds::Bounds;
use crate::graph::Graph;
use crate::linear_head::{self, LinearForecast};
use crate::metadata::{GraphMetadata, METADATA_KEY};
use crate::proto::{DataType, IR_VERSION, ModelProto, OPSET, OperatorSetIdProto, StringStringEntryProto};
use crate::samples::Samples;
use crate::states::States;
use crate::weights::Weights;
use crate::{calendar, network};

/// Protobuf's limit of a message.
const MAX_BYTES: usize = i32::MAX as usize;

/// Why a bundle cannot be exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The graph is too large for the format.
    #[error("the graph has {bytes} bytes, and an ONNX file holds at most {MAX_BYTES}: export a smaller model or the int8 one")]
    Size {
        /// Bytes of the graph.
        bytes: usize,
    },
    /// A fault of the configuration; a bundle has none.
    #[error(transparent)]
    Config(#[from] tsm2_core::Error),
    /// The metadata cannot be written.
    #[error("metadata: {0}")]
    Metadata(#[from] serde_json::Error),
}

/// A graph in a file's bytes.
#[derive(Clone, Debug)]
pub struct Exported {
    /// The bytes of the ONNX file. The same bundle always gives the same bytes.
    pub bytes: Vec<u8>,
    /// Operators of the graph.
    pub nodes: usize,
    /// Numbers in all states together.
    pub state_len: usize,
}

/// The one-step graph of a bundle: opset 17, fixed shapes, single precision, and 8-bit integers where the bundle has them.
///
/// | input | shape | |
/// |---|---|---|
/// | `readings` | `[M]` | in the sensors' units; a reading that is not finite is missing |
/// | `time_ms` | `[1]`, int64 | only where the model has a calendar: Unix time plus the offset of the model's time zone |
/// | `future` | `[K, H + 1]` | only with future covariates: their next values; a row of NaN sets nothing |
/// | each state | | zeros at the start, then the output of the same name with `_next` |
///
/// The output `forecast` `[targets, H]` is in the sensors' units.
///
/// # Errors
/// A graph of 2 GiB or more.
pub fn export(bundle: &Bundle) -> Result<Exported, ExportError> {
    let meta = bundle.meta();
    let config = &meta.config;
    let (m, targets, h) = (config.variates, config.targets(), config.horizon);
    let weights = Weights::of(bundle)?;
    let scaler = bundle.model().preprocessor().scaler();
    let (mut graph, mut states) = (Graph::default(), States::default());

    let readings = graph.input("readings", DataType::Float, &[m]);
    let has_calendar = config.linear_head.calendar || config.network.is_some_and(|network| network.calendar);
    let calendar = (has_calendar && !config.calendar.is_empty()).then(|| calendar::build(&mut graph, config.calendar));
    let samples = Samples {
        bounds: Bounds::of(&mut graph, config, &weights),
        ..Samples::build(&mut graph, &mut states, config, (scaler.mean, scaler.std), readings)
    };
    let of_network = config
        .network
        .map(|network| network::build(&mut graph, &mut states, config, &network, &weights, &samples, calendar));
    let LinearForecast { forecast, anchor } = linear_head::build(&mut graph, &mut states, config, &weights, &samples, calendar);

    graph.enter("forecast");
    let parts = [of_network, forecast, anchor];
    let forecast = parts.into_iter().flatten().reduce(|sum, part| graph.add(sum, part));
    let mut forecast = forecast.expect("a model has a network or a linear head");
    if let Some((mean, deviation)) = samples.statistics {
        let [mean, deviation] = [mean, deviation].map(|x| graph.slice(x, 0, 0..targets));
        let wide = graph.mul(forecast, deviation);
        forecast = graph.add(wide, mean);
    }
    let (mean, std) = (&scaler.mean[..targets], &scaler.std[..targets]);
    let (mean, std) = (graph.floats(&[targets, 1], mean), graph.floats(&[targets, 1], std));
    let forecast = graph.mul(forecast, std);
    let forecast = graph.add(forecast, mean);
    graph.output("forecast", DataType::Float, &[targets, h], forecast);

    let state_len = states.len();
    let pairs = states.finish(&mut graph);
    let metadata = serde_json::to_string(&GraphMetadata::of(bundle, pairs))?;
    let graph = graph.finish(&meta.name);
    let nodes = graph.node.len();
    let model = ModelProto {
        ir_version: IR_VERSION,
        producer_name: "tsm2".into(),
        producer_version: env!("CARGO_PKG_VERSION").into(),
        doc_string: "One time step of a TSM2 model. Begin with states of zeros; feed each output NAME_next to the input NAME.".into(),
        graph: Some(graph),
        opset_import: vec![OperatorSetIdProto {
            domain: String::new(),
            version: OPSET,
        }],
        metadata_props: vec![StringStringEntryProto {
            key: METADATA_KEY.into(),
            value: metadata,
        }],
        ..ModelProto::default()
    };
    let bytes = model.encoded_len();
    if bytes > MAX_BYTES {
        return Err(ExportError::Size { bytes });
    }
    Ok(Exported {
        bytes: model.encode_to_vec(),
        nodes,
        state_len,
    })
}
