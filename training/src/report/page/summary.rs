//! The comparison in plain words, on top of the page.

use maud::{Markup, html};

use crate::evaluate::{LINEAR_HEAD, Ratio};
use crate::report::advice::{Advice, Summary};
use crate::report::findings::Subject;
use crate::report::text::{change_with_interval, forecaster, steps};

/// The card.
pub fn card(subject: &Subject<'_>, summary: &Summary) -> Markup {
    let (class, headline, sentence) = match summary.advice {
        Advice::Model | Advice::LinearModel | Advice::Graph if summary.better.is_some() => (
            "fair",
            "Better than naive, but not the best",
            "The model is better than naive, and a baseline is better still.",
        ),
        Advice::Model if summary.linear.is_none() => (
            "good",
            "Use this model",
            "The model is better than naive. Its linear part alone was not measured.",
        ),
        Advice::Model => (
            "good",
            "Use this model",
            "The model is better than naive and than its own linear part.",
        ),
        Advice::LinearModel => (
            "good",
            "Use this model",
            "The model is better than naive. It is linear: in the training a network gained nothing, and is not part of the model.",
        ),
        Advice::Graph => ("good", "Use this model", "The model, an ONNX graph, is better than naive."),
        Advice::LinearPart => (
            "fair",
            "Use the linear part",
            "The network adds nothing that chance would not. The linear part alone is smaller and as good.",
        ),
        Advice::Naive if summary.better.is_some() => (
            "bad",
            "This model does not beat naive",
            "On these rows the model is not better than the repeated reading by more than chance. Do not rely on it.",
        ),
        Advice::Naive => (
            "bad",
            "Nothing beats naive here",
            "On these rows no forecast is better than the repeated reading by more than chance. Do not rely on this model.",
        ),
    };
    let against = |of: &str, errors: &Ratio| html! { li { "Against " (of) ": squared error " (change_with_interval(errors)) "." } };
    let interval_ms = subject.bundle.meta().interval_ms;
    html! {
        div class={ "summary " (class) } {
            h2 { (headline) }
            p {
                (sentence)
                @if summary.advice == Advice::LinearPart { " It is the file " code { (LINEAR_HEAD) } " beside the model, fitted to the training rows." }
            }
            ul {
                @if let Some(naive) = &summary.naive {
                    (against(&format!("{}, the better of the two naive forecasts", forecaster(naive.baseline)), &naive.errors))
                }
                @if let Some(linear) = &summary.linear { (against("its own linear part", &linear.errors)) }
                @if let Some(better) = &summary.better {
                    (against(&format!("{}, a baseline that is better", forecaster(better.baseline)), &better.errors))
                    @if summary.advice != Advice::Graph { li { "A longer training or a longer recording may help." } }
                }
            }
            p.soft {
                "Over all sensors and all " (steps(subject.steps(), interval_ms)) " of the forecast. The interval is what chance allows: \
                 blocks of forecasts were drawn again 1000 times."
            }
            @for note in subject.notes { p.soft { "Note: " (note) "." } }
        }
    }
}
