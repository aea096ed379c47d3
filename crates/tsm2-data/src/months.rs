//! Rows that are whole months apart: no interval in seconds fits them.

use jiff::tz::TimeZone;

use crate::devices::Device;
use crate::time::zone::local;

/// Months between neighbouring rows of all devices, where it is the same number throughout.
pub(crate) fn apart(devices: &[Device]) -> Option<i32> {
    let mut apart = None;
    for device in devices {
        let mut last = None;
        for &time in &device.readings.times_ms {
            let time = local(time, &TimeZone::UTC)?;
            let month = i32::from(time.year()) * 12 + i32::from(time.month());
            let within = (time.day(), time.time());
            if let Some((before, same)) = last.replace((month, within)) {
                let step = month - before;
                if step < 1 || same != within || apart.is_some_and(|apart| apart != step) {
                    return None;
                }
                apart = Some(step);
            }
        }
    }
    apart
}

/// What a user should know.
pub(crate) fn note(months: i32) -> String {
    let months = if months == 1 {
        "1 month".to_owned()
    } else {
        format!("{months} months")
    };
    format!("the rows are {months} apart and are taken as evenly spaced; --interval makes time steps of so many days instead")
}
