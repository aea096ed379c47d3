//! The order of day, month and year, decided over a whole column.

use crate::error::{Error, shown};
use crate::time::date::{ORDERS, Order};
use crate::time::finder::Finder;

impl Finder<'_> {
    /// The order of day, month and year in a column of dates.
    pub(super) fn order(&self, c: usize, asked: Option<&str>) -> Result<(Order, Vec<String>), Error> {
        let column = &self.census.columns[c];
        let times = &column.times;
        let best = times.orders.iter().map(|stats| stats.good).max().unwrap_or(0);
        let viable: Vec<usize> = (0..ORDERS.len()).filter(|&at| times.orders[at].good == best).collect();
        match asked {
            Some("ymd") => return Ok((Order::Ymd, Vec::new())),
            Some("dmy") => return Ok((Order::Dmy, Vec::new())),
            Some("mdy") => return Ok((Order::Mdy, Vec::new())),
            _ => {}
        }
        if times.fixed == times.dates {
            return Ok((Order::Ymd, Vec::new()));
        }
        if let [only] = viable[..] {
            return Ok((ORDERS[only], Vec::new()));
        }
        // Dots are written where the day stands first.
        if times.dots == times.dates && viable.iter().any(|&at| ORDERS[at] == Order::Dmy) {
            return Ok((Order::Dmy, Vec::new()));
        }
        // Where rows follow each other within a day, the right order makes the next date the next day, and a wrong one another month.
        let goes_on = |at: usize| times.orders[at].within > 0 && times.orders[at].near > times.orders[at].far * 10;
        let jumps = |at: usize| times.orders[at].far > times.orders[at].near * 10;
        let even: Vec<usize> = viable.iter().copied().filter(|&at| goes_on(at)).collect();
        if let [only] = even[..]
            && viable.iter().all(|&at| at == only || jumps(at))
        {
            let order = ORDERS[only];
            let example = column.examples.first().map(|(_, cell)| shown(cell)).unwrap_or_default();
            let note = format!(
                "column `{}`: dates such as `{example}` are read {}, because the days then follow each other; --time-format dmy or mdy decides",
                self.named(c),
                words(order)
            );
            return Ok((order, vec![note]));
        }
        let mut examples = column.examples.iter();
        let (line, cell) = examples.next().cloned().unwrap_or_default();
        let (other_line, other) = examples.next().cloned().unwrap_or((line, cell.clone()));
        Err(Error::UndecidedTime {
            path: self.source.path.into(),
            column: self.named(c),
            cell,
            line,
            other,
            other_line,
        })
    }
}

fn words(order: Order) -> &'static str {
    match order {
        Order::Ymd => "year first",
        Order::Dmy => "day first",
        Order::Mdy => "month first",
    }
}

/// The order as the report names it.
pub(super) fn description(order: Order, is_fixed: bool, is_zoned: bool) -> &'static str {
    match (is_fixed, order, is_zoned) {
        (true, _, true) => "RFC 3339",
        (true, _, false) => "YYYY-MM-DD hh:mm:ss",
        (false, Order::Ymd, _) => "ymd",
        (false, Order::Dmy, _) => "dmy",
        (false, Order::Mdy, _) => "mdy",
    }
}
