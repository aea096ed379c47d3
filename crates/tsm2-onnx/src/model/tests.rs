//! Wrong graphs: each is refused with one error that names what is wrong; a graph that fails later changes nothing.

use prost::Message;
use serde_json::json;

use super::GraphModel;
use crate::error::GraphError;
use crate::graph::{Graph, Value};
use crate::metadata::METADATA_KEY;
use crate::proto::{
    AttributeProto, DataType, DimensionProto, GraphProto, ModelProto, NodeProto, OPSET, OperatorSetIdProto, StringStringEntryProto,
    TensorProto,
};

/// The bytes of a graph of two variates and three steps: forecast = last reading + state, state = state + first reading.
fn graph(build: impl FnOnce(&mut Graph, Value, Value) -> (Value, Value), change: impl FnOnce(&mut ModelProto)) -> Vec<u8> {
    let mut graph = Graph::default();
    let readings = graph.input("readings", DataType::Float, &[2]);
    let state = graph.input("h", DataType::Float, &[2]);
    let (forecast, next) = build(&mut graph, readings, state);
    graph.output("forecast", DataType::Float, &[2, 3], forecast);
    graph.output("h_next", DataType::Float, &[2], next);
    let variate = |name: &str| json!({"name": name, "mean": 20.0, "std": 2.0});
    let mut model = ModelProto {
        ir_version: 8,
        graph: Some(graph.finish("test")),
        opset_import: vec![OperatorSetIdProto {
            version: OPSET,
            ..OperatorSetIdProto::default()
        }],
        metadata_props: vec![StringStringEntryProto {
            key: METADATA_KEY.into(),
            value: json!({"variates": [variate("a"), variate("b")]}).to_string(),
        }],
        ..ModelProto::default()
    };
    change(&mut model);
    model.encode_to_vec()
}

/// As the graph's description says.
fn sound(graph: &mut Graph, readings: Value, state: Value) -> (Value, Value) {
    let next = graph.add(state, readings);
    let sum = graph.add(readings, state);
    let column = graph.reshape(sum, &[2, 1]);
    let row = graph.floats(&[1, 3], &[0.0; 3]);
    (graph.add(column, row), next)
}

fn refused(change: impl FnOnce(&mut ModelProto)) -> String {
    message(&graph(sound, change))
}

fn message(bytes: &[u8]) -> String {
    GraphModel::from_bytes(bytes).expect_err("must be refused").to_string()
}

fn of(model: &mut ModelProto) -> &mut crate::proto::GraphProto {
    model.graph.as_mut().expect("a graph")
}

fn dimension(model: &mut ModelProto, input: usize) -> &mut DimensionProto {
    let tensor = of(model).input[input].r#type.as_mut().and_then(|of| of.tensor_type.as_mut());
    &mut tensor.expect("a tensor").shape.as_mut().expect("a shape").dim[0]
}

#[test]
fn a_sound_graph_steps_and_a_missing_reading_stands_at_the_last_one() {
    let model = GraphModel::from_bytes(&graph(sound, |_| {})).expect("a sound graph");
    assert_eq!((model.config().variates, model.config().horizon, model.state_len()), (2, 3, 2 + 4));
    let (mut state, mut forecast) = (vec![0.0; model.state_len()], [0.0; 6]);
    model.step(&mut state, &[1.0, f32::NAN], 0, &mut forecast).expect("a step");
    assert_eq!(
        forecast,
        [1.0, 1.0, 1.0, 20.0, 20.0, 20.0],
        "before its first reading a variate stands at its mean"
    );
    model.step(&mut state, &[f32::INFINITY, 5.0], 0, &mut forecast).expect("a step");
    assert_eq!(forecast, [2.0, 2.0, 2.0, 25.0, 25.0, 25.0]);
    assert_eq!(model.state(&state, "h"), Some(&[2.0, 25.0][..]));
}

#[test]
fn a_state_without_an_output_is_refused() {
    let error = refused(|model| of(model).output[1].name = "other".into());
    assert!(error.contains("no operator gives the output \"other\""), "{error}");
    let error = refused(|model| {
        of(model).output.pop();
    });
    assert!(
        error.starts_with("input \"h\" [2] has no output of the same name and shape") && error.contains("h_next"),
        "{error}"
    );
}

#[test]
fn states_may_be_paired_by_the_metadata() {
    let named = |states: serde_json::Value| {
        graph(sound, |model| {
            let graph = of(model);
            graph.output[1].name = "cell".into();
            graph.node.last_mut().expect("a node").output[0] = "cell".into();
            let mut metadata: serde_json::Value = serde_json::from_str(&model.metadata_props[0].value).expect("JSON");
            metadata["states"] = states;
            model.metadata_props[0].value = metadata.to_string();
        })
    };
    assert!(message(&named(json!([]))).contains("has no output of the same name and shape"));
    assert!(GraphModel::from_bytes(&named(json!([["h", "cell"]]))).is_ok());
}

#[test]
fn a_shape_that_is_not_fixed_is_refused() {
    let error = refused(|model| {
        *dimension(model, 1) = DimensionProto {
            dim_value: None,
            dim_param: Some("batch".into()),
        }
    });
    assert_eq!(
        error,
        "\"h\": dimension 0 is \"batch\" and not a number; export the graph with fixed shapes (without dynamic_axes)"
    );
}

#[test]
fn an_unknown_operator_is_refused_by_name() {
    let error = refused(|model| of(model).node[0].op_type = "Frobnicate".into());
    assert_eq!(error, "not supported: operator Frobnicate");
}

#[test]
fn another_element_type_is_refused() {
    let error = refused(|model| {
        let tensor = of(model).input[0].r#type.as_mut().and_then(|of| of.tensor_type.as_mut());
        tensor.expect("a tensor").elem_type = DataType::Double as i32;
    });
    assert_eq!(error, "\"readings\" is Double where Float is needed");
}

#[test]
fn another_number_of_variates_or_steps_is_refused() {
    let error = refused(|model| {
        *dimension(model, 0) = DimensionProto {
            dim_value: Some(7),
            dim_param: None,
        }
    });
    assert_eq!(
        error,
        "\"readings\" has the shape [7] where [2], the variates of the metadata, is needed"
    );
    let error = refused(|model| {
        model.metadata_props[0].value = model.metadata_props[0].value.replacen('{', "{\"horizon\": 9, ", 1);
    });
    assert_eq!(
        error,
        "\"forecast\" has the shape [2, 3] where [2, 9], targets and horizon, is needed"
    );
}

#[test]
fn a_missing_input_or_output_is_named() {
    let error = refused(|model| {
        of(model).input[0].name = "sensors".into();
        let inputs = of(model).node.iter_mut().flat_map(|node| &mut node.input);
        inputs
            .filter(|input| *input == "readings")
            .for_each(|input| *input = "sensors".into());
    });
    assert!(error.starts_with("input \"sensors\" [2] has no output"), "{error}");
    let error = refused(|model| {
        of(model).output.remove(0);
    });
    assert_eq!(error, "the output `forecast` is missing; the graph has [\"h_next\"]");
}

#[test]
fn a_graph_that_gives_nan_is_refused_at_the_start() {
    let error = message(&graph(
        |graph, readings, state| {
            let (forecast, next) = sound(graph, readings, state);
            let root = graph.op("Sqrt", &[readings]);
            let nan = graph.op("Neg", &[root]);
            let nan = graph.op("Log", &[nan]);
            let column = graph.reshape(nan, &[2, 1]);
            (graph.add(forecast, column), next)
        },
        |_| {},
    ));
    assert_eq!(error, "the graph's output \"forecast\" holds a number that is not finite");
}

#[test]
fn a_graph_that_gives_nan_later_fails_the_step_and_leaves_the_state() {
    let model = GraphModel::from_bytes(&graph(
        |graph, readings, state| {
            let (forecast, next) = sound(graph, readings, state);
            let root = graph.op("Sqrt", &[readings]);
            (forecast, graph.add(next, root))
        },
        |_| {},
    ))
    .expect("a graph whose first step is finite");
    let (mut state, mut forecast) = (vec![0.0; model.state_len()], [0.0; 6]);
    model.step(&mut state, &[4.0, 4.0], 0, &mut forecast).expect("a step");
    let before = (state.clone(), forecast);
    let error = model.step(&mut state, &[-4.0, 4.0], 0, &mut forecast).expect_err("NaN");
    assert_eq!(error, GraphError::NotFinite { output: "h_next".into() });
    assert_eq!(state, before.0, "nothing else is lost");
    model
        .step(&mut state, &[4.0, 4.0], 0, &mut forecast)
        .expect("the next step goes on");
}

#[test]
fn tensors_that_do_not_hold_their_shape_are_refused() {
    let with = |tensor: TensorProto| {
        refused(|model| {
            of(model).initializer.push(TensorProto {
                name: "w".into(),
                data_type: DataType::Float as i32,
                ..tensor
            });
        })
    };
    let huge = TensorProto {
        dims: vec![1 << 40, 1 << 40],
        ..TensorProto::default()
    };
    assert_eq!(with(huge), "tensor \"w\": the shape [1099511627776, 1099511627776] is impossible");
    let short = TensorProto {
        dims: vec![1 << 28],
        raw_data: vec![0; 8],
        ..TensorProto::default()
    };
    assert_eq!(
        with(short),
        "tensor \"w\": it does not hold the 268435456 numbers of its shape [268435456]"
    );
    let outside = TensorProto {
        dims: vec![2],
        data_location: 1,
        ..TensorProto::default()
    };
    assert_eq!(
        with(outside),
        "tensor \"w\": its numbers lie in another file; store them in the ONNX file"
    );
}

#[test]
fn a_file_of_a_gigabyte_is_refused_before_it_is_read() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("huge.onnx");
    std::fs::File::create(&path)
        .expect("a file")
        .set_len(1 << 30)
        .expect("a sparse file");
    let error = GraphModel::open(&path).expect_err("too large").to_string();
    assert!(
        error.ends_with("huge.onnx: the file has 1073741824 bytes, and at most 268435456 are read; export a smaller model"),
        "{error}"
    );
    let error = GraphModel::open(&folder.path().join("absent.onnx"))
        .expect_err("absent")
        .to_string();
    assert!(error.contains("absent.onnx: No such file"), "{error}");
}

#[test]
fn what_is_no_onnx_file_is_refused() {
    assert!(message(b"PK\x03\x04").starts_with("not an ONNX file, or cut short"));
    assert!(message(b"").contains("there is no graph"));
    let whole = graph(sound, |_| {});
    for end in (0..whole.len()).step_by(7) {
        assert!(GraphModel::from_bytes(&whole[..end]).is_err(), "{end}");
    }
    let nested = (0..200).fold(GraphProto::default(), |inner, _| GraphProto {
        node: vec![NodeProto {
            attribute: vec![AttributeProto {
                g: Some(inner),
                ..AttributeProto::default()
            }],
            ..NodeProto::default()
        }],
        ..GraphProto::default()
    });
    let error = refused(|model| *of(model) = nested);
    assert!(error.contains("recursion limit"), "{error}");
}

#[test]
fn metadata_is_required_and_checked() {
    assert!(refused(|model| model.metadata_props.clear()).starts_with("no metadata `tsm2` in the file"));
    let with = |metadata: serde_json::Value| refused(|model| model.metadata_props[0].value = metadata.to_string());
    let variates = json!([{"name": "a", "mean": 0.0, "std": 1.0}, {"name": "b", "mean": 0.0, "std": 1.0}]);
    assert!(with(json!({"variates": variates, "colour": 1})).contains("unknown field `colour`"));
    assert!(with(json!({})).contains("missing field `variates`"));
    assert!(with(json!({"variates": variates, "format_version": 2})).contains("format_version 2 is not known"));
    assert!(with(json!({"variates": variates, "past_covariates": 2})).contains("at least one must be a target"));
    assert!(with(json!({"variates": variates, "future_covariates": 1})).contains("set missing to \"nan\""));
    assert!(with(json!({"variates": [{"name": "a", "mean": 0.0, "std": 0.0}]})).contains("std finite and positive"));
}

/// A graph of `nodes` operators that ends in `forecast` as [`sound`] does; `extra` is added with a weight of zero.
fn expanding(extra: impl FnOnce(&mut Graph, Value) -> Value) -> String {
    message(&graph(
        |graph, readings, state| {
            let (forecast, next) = sound(graph, readings, state);
            let large = extra(graph, readings);
            let sum = graph.op("ReduceMax", &[large]);
            let zero = graph.float(0.0);
            let sum = graph.mul(sum, zero);
            let sum = graph.reshape(sum, &[1, 1]);
            (graph.add(forecast, sum), next)
        },
        |_| {},
    ))
}

#[test]
fn a_small_graph_that_expands_is_refused_before_it_takes_memory() {
    let is_too_large = |error: &str| error.starts_with("the values of a time step need more than 1073741824 bytes of memory");
    let constant = expanding(|graph, _| {
        let shape = graph.integers(&[1 << 20, 1 << 20]);
        graph.op("ConstantOfShape", &[shape])
    });
    assert!(is_too_large(&constant) && constant.contains("1048576,1048576"), "{constant}");
    // Beyond 32 bits, too.
    for end in [1_000_000_000, 4_000_000_000, (1 << 32) + 5] {
        let range = expanding(|graph, _| {
            let ends = [0, end, 1].map(|number| graph.places(&[], &[number]));
            let range = graph.op("Range", &ends);
            graph.cast(range, DataType::Float)
        });
        assert!(is_too_large(&range), "{range}");
    }
    let expand = expanding(|graph, readings| {
        let shape = graph.integers(&[1 << 30, 2]);
        graph.op("Expand", &[readings, shape])
    });
    assert!(is_too_large(&expand), "{expand}");
    let tile = expanding(|graph, readings| {
        let repeats = graph.integers(&[1 << 30]);
        graph.op("Tile", &[readings, repeats])
    });
    assert!(is_too_large(&tile), "{tile}");
    let sum_of_column_and_row = expanding(|graph, readings| {
        let repeats = graph.integers(&[1 << 16]);
        let long = graph.op("Tile", &[readings, repeats]);
        let column = graph.reshape(long, &[1 << 17, 1]);
        graph.add(long, column)
    });
    assert!(is_too_large(&sum_of_column_and_row), "{sum_of_column_and_row}");
    let doubled = expanding(|graph, readings| (0..40).fold(readings, |value, _| graph.concat(0, &[value, value])));
    assert!(is_too_large(&doubled), "{doubled}");
    let doubled_constant = expanding(|graph, _| {
        let one = graph.floats(&[1], &[1.0]);
        (0..40).fold(one, |value, _| graph.concat(0, &[value, value]))
    });
    assert!(is_too_large(&doubled_constant), "{doubled_constant}");
}

#[test]
fn a_shape_that_depends_on_a_reading_is_refused() {
    let error = expanding(|graph, readings| {
        let length = graph.op("ReduceMax", &[readings]);
        let length = graph.cast(length, DataType::Int64);
        let length = graph.reshape(length, &[]);
        let ends = [0, 1].map(|number| graph.places(&[], &[number]));
        let range = graph.op("Range", &[ends[0], length, ends[1]]);
        graph.cast(range, DataType::Float)
    });
    assert!(error.contains("is not known before the graph runs"), "{error}");
}

#[test]
fn a_graph_inside_a_graph_is_refused_by_its_operator() {
    for operator in ["If", "Loop", "Scan"] {
        let error = refused(|model| {
            let node = &mut of(model).node[0];
            node.op_type = operator.into();
            node.attribute.push(AttributeProto {
                g: Some(GraphProto::default()),
                ..AttributeProto::default()
            });
        });
        assert_eq!(
            error,
            format!("not supported: operator {operator} with a graph inside; export the model without branches and loops")
        );
    }
}

/// The forecast of a sound graph after its first readings, 1 and 2.
fn first_forecast(bytes: &[u8]) -> [f32; 6] {
    let model = GraphModel::from_bytes(bytes).expect("a sound graph");
    let mut forecast = [0.0; 6];
    model
        .step(&mut vec![0.0; model.state_len()], &[1.0, 2.0], 0, &mut forecast)
        .expect("a step");
    forecast
}

#[test]
fn a_graph_may_make_its_constants() {
    let forecast = first_forecast(&graph(
        |graph, readings, state| {
            let (forecast, next) = sound(graph, readings, state);
            let ends = [0, 3, 1].map(|number| graph.places(&[], &[number]));
            let steps = graph.op("Range", &ends);
            let steps = graph.cast(steps, DataType::Float);
            let shape = graph.integers(&[2, 3]);
            let steps = graph.op("Expand", &[steps, shape]);
            (graph.add(forecast, steps), next)
        },
        |_| {},
    ));
    assert_eq!(forecast, [1.0, 2.0, 3.0, 2.0, 3.0, 4.0]);
}

/// The sound graph with a second state of the same shape, and these names of both states' inputs and outputs.
fn two_states(names: [(&str, &str); 2]) -> Vec<u8> {
    let [(first, first_next), (second, second_next)] = names;
    let mut graph = Graph::default();
    let readings = graph.input("readings", DataType::Float, &[2]);
    let states = [first, second].map(|name| graph.input(name, DataType::Float, &[2]));
    let (forecast, next) = sound(&mut graph, readings, states[0]);
    let other = graph.add(states[1], next);
    graph.output("forecast", DataType::Float, &[2, 3], forecast);
    graph.output(first_next, DataType::Float, &[2], next);
    graph.output(second_next, DataType::Float, &[2], other);
    let graph = graph.finish("test");
    self::graph(sound, |model| model.graph = Some(graph))
}

#[test]
fn numbered_states_had_no_outputs_as_their_numbers_were_cut() {
    for names in [
        [("h_0", "h_0_next"), ("h_1", "h_1_next")],
        [("h_1", "h_1_next"), ("h_0", "h_0_next")],
    ] {
        let model = GraphModel::from_bytes(&two_states(names)).expect("two states");
        let (mut state, mut forecast) = (vec![0.0; model.state_len()], [0.0; 6]);
        model.step(&mut state, &[1.0, 2.0], 0, &mut forecast).expect("a step");
        model.step(&mut state, &[1.0, 2.0], 0, &mut forecast).expect("a step");
        assert_eq!(model.state(&state, names[0].0), Some(&[2.0, 4.0][..]));
        assert_eq!(model.state(&state, names[1].0), Some(&[3.0, 6.0][..]));
    }
}

#[test]
fn two_states_of_one_output_overwrote_each_other() {
    let error = message(&two_states([("h_in", "h_out"), ("h_prev", "other")]));
    assert!(
        error.starts_with("input \"h_prev\" shares its output \"h_out\" with another state"),
        "{error}"
    );
}

#[test]
fn an_operator_on_images_read_beyond_a_shape_without_channels() {
    for (operator, inputs) in [("BatchNormalization", 5), ("GlobalAveragePool", 1), ("InstanceNormalization", 3)] {
        let error = message(&graph(
            |graph, readings, state| {
                let (forecast, next) = sound(graph, readings, state);
                let of = graph.op(operator, &[readings, next, next, next, next][..inputs]);
                let column = graph.reshape(of, &[2, 1]);
                (graph.add(forecast, column), next)
            },
            |_| {},
        ));
        assert!(error.ends_with("on an input of fewer than two dimensions"), "{error}");
    }
}

#[test]
fn indices_without_a_dimension_took_memory_without_an_end() {
    let error = expanding(|graph, readings| {
        let index = graph.places(&[], &[0]);
        graph.op("GatherND", &[readings, index])
    });
    assert!(error.ends_with("on indices without a dimension"), "{error}");
}

#[test]
fn a_number_read_of_a_constant_without_elements_killed_the_process() {
    for (operator, inputs) in [
        ("Add", 2),
        ("BlackmanWindow", 1),
        ("Clip", 3),
        ("CumSum", 2),
        ("DFT", 2),
        ("Div", 2),
        ("Dropout", 3),
        ("Equal", 2),
        ("Mul", 2),
        ("NonMaxSuppression", 5),
        ("OneHot", 3),
        ("Pad", 3),
        ("Pow", 2),
        ("QuantizeLinear", 3),
        ("Range", 3),
        ("STFT", 4),
        ("TopK", 2),
        ("Trilu", 2),
        ("Where", 3),
    ] {
        for empty in 0..inputs {
            let constant = |graph: &mut Graph| [graph.floats(&[0], &[]), graph.integers(&[])][usize::from(empty > 0 && operator != "Clip")];
            let made = |graph: &mut Graph| {
                let shape = graph.integers(&[0]);
                graph.op("ConstantOfShape", &[shape])
            };
            let sliced = |graph: &mut Graph, readings| graph.slice(readings, 0, 0..0);
            for way in 0..3 {
                let error = expanding(|graph, readings| {
                    let mut values = vec![readings; inputs];
                    values[empty] = match way {
                        0 => constant(graph),
                        1 => made(graph),
                        _ => sliced(graph, readings),
                    };
                    graph.op(operator, &values)
                });
                assert!(
                    error.ends_with("on an input without elements"),
                    "{operator}, input {empty}: {error}"
                );
            }
        }
    }
}

#[test]
fn lists_without_elements_are_as_good_as_others() {
    let forecast = first_forecast(&graph(
        |graph, readings, state| {
            let (forecast, next) = sound(graph, readings, state);
            let (none, nothing) = (graph.integers(&[]), graph.floats(&[0], &[]));
            let joined = graph.concat(0, &[nothing, next, nothing]);
            let sum = graph.op("ReduceSum", &[joined, none]);
            let sum = graph.op("Reshape", &[sum, none]);
            let sum = graph.op("Expand", &[sum, none]);
            let zero = graph.op("ConstantOfShape", &[none]);
            let zero = graph.cast(zero, DataType::Float);
            let sum = graph.add(sum, zero);
            let sum = graph.op("Squeeze", &[sum, none]);
            let sum = graph.op("Unsqueeze", &[sum, none]);
            let image = graph.reshape(forecast, &[1, 1, 2, 3]);
            let scales = graph.floats(&[4], &[1.0; 4]);
            let image = graph.op("Resize", &[image, nothing, scales]);
            let sizes = graph.integers(&[1, 1, 2, 3]);
            let image = graph.op("Resize", &[image, nothing, nothing, sizes]);
            let forecast = graph.reshape(image, &[2, 3]);
            (graph.add(forecast, sum), next)
        },
        |_| {},
    ));
    assert_eq!(forecast, [4.0, 4.0, 4.0, 5.0, 5.0, 5.0]);
}

#[test]
fn a_huge_number_in_an_attribute_kept_the_runtime_busy_for_minutes() {
    let with = |name: &str, ints: Vec<i64>| {
        graph(sound, |model| {
            of(model).node[0].attribute.push(AttributeProto {
                name: name.into(),
                ints,
                ..AttributeProto::default()
            });
        })
    };
    for number in [1 << 32, i64::MAX, i64::MIN] {
        let error = message(&with("kernel_shape", vec![1, number]));
        assert_eq!(
            error,
            format!("not supported: attribute \"kernel_shape\" of operator Add with the number {number}; the largest is 65536")
        );
        // The end of a slice may be as far as it likes.
        GraphModel::from_bytes(&with("ends", vec![number])).expect("a sound graph");
    }
}

#[test]
fn a_graph_that_gives_other_forecasts_each_time_is_refused() {
    let error = refused(|model| of(model).node[0].op_type = "RandomNormalLike".into());
    assert_eq!(
        error,
        "operator RandomNormalLike gives other numbers each time; export the model for inference, without random numbers"
    );
}

#[test]
fn a_circle_of_operators_overflowed_the_stack() {
    let error = refused(|model| {
        let nodes = &mut of(model).node;
        let last = nodes.last().expect("a node").output[0].clone();
        nodes[0].input[0] = last;
    });
    assert!(
        error.starts_with("not supported: operator Add reads ") && error.contains(", which no operator before it gives"),
        "{error}"
    );
}

#[test]
fn an_order_of_dimensions_that_names_one_twice_took_memory_without_an_end() {
    for order in [vec![0, 0, 1], vec![1, 2], vec![-1, 0]] {
        let error = refused(|model| {
            of(model).node[0].attribute.push(AttributeProto {
                name: "perm".into(),
                ints: order.clone(),
                ..AttributeProto::default()
            });
        });
        assert_eq!(
            error,
            format!("not supported: operator Add with the order of dimensions {order:?}; name each of them once")
        );
    }
}
