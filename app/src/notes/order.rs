//! The `orderBy` of a list of notes.

use store::tenant::feed::{Order, SortTime};

use super::Error;

/// Reads a comma list of `field` or `field asc|desc`. The first time field wins; `pinned` always means pinned first.
pub fn parse(text: &str) -> Result<Order, Error> {
    let mut order = Order::default();
    let mut timed = false;
    for part in text.split(',') {
        let mut words = part.split_whitespace();
        let Some(field) = words.next() else { continue };
        let ascending = match words.next().map(str::to_ascii_lowercase).as_deref() {
            None | Some("desc") => false,
            Some("asc") => true,
            Some(other) => {
                return Err(Error::invalid(format!(
                    "invalid order_by: invalid order direction: {other}, must be 'asc' or 'desc'"
                )));
            }
        };
        if words.next().is_some() {
            return Err(Error::invalid(format!("invalid order_by: invalid order by format: {}", part.trim())));
        }
        let time = match field {
            "pinned" => {
                order.pinned_first = true;
                continue;
            }
            "create_time" | "name" => SortTime::Created,
            "update_time" => SortTime::Updated,
            _ => {
                return Err(Error::invalid(format!(
                    "invalid order_by: unsupported order field: {field}, \
                     supported fields are: pinned, create_time, update_time, name"
                )));
            }
        };
        if !timed {
            (order.time, order.ascending, timed) = (time, ascending, true);
        }
    }
    Ok(order)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders() {
        let order = |text| parse(text).ok();
        assert_eq!(order(""), Some(Order::default()));
        assert_eq!(order(","), Some(Order::default()));
        assert_eq!(order("pinned asc,"), Some(Order { pinned_first: true, ..Order::default() }));
        assert_eq!(order(" create_time  asc , update_time"), Some(Order { ascending: true, ..Order::default() }));
        assert_eq!(order("update_time DESC"), Some(Order { time: SortTime::Updated, ..Order::default() }));
        for bad in ["bogus", "create_time up", "CREATE_TIME ASC", "display_time", "name asc desc"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
