//! Tree → typed filter: names are resolved, constants folded, and what the language does not have is refused.

use super::constant::{self, Value};
use super::lex::error_at;
use super::old::Dialect;
use super::parse::{Expr, Kind, tree};
use super::{
    Filter, FilterError, Flag, NumberField, Op, Part, Pattern, TagTest, TagsTest, TextField, TextTest, TimeField,
};

/// What is filtered.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum About {
    Notes,
    Attachments,
}

/// A side of a comparison.
enum Operand {
    Known(Value),
    Flag(Flag),
    Text(TextField),
    Number(NumberField),
    Moment(TimeField),
    Note,
    Tags,
    /// The virtual `tag`.
    Tag,
    /// `visibilities` of 0.22.
    Visibilities,
}

pub(super) fn filter(text: &str, now: i64, about: About) -> Result<Filter, FilterError> {
    Checker { text, now, about, dialect: Dialect::Both }.condition(&tree(text)?)
}

pub(super) fn username(text: &str) -> Result<String, FilterError> {
    let expr = tree(text)?;
    if let Kind::Compare(Op::Eq, left, right) = &expr.kind
        && left.kind == Kind::Name("username".to_owned())
        && let Kind::Text(name) = &right.kind
    {
        return Ok(name.clone());
    }
    Err(error_at(text, expr.at, "only username == \"name\" is supported"))
}

pub(super) struct Checker<'t> {
    pub(super) text: &'t str,
    pub(super) now: i64,
    pub(super) about: About,
    pub(super) dialect: Dialect,
}

type Checked<T> = Result<T, FilterError>;

impl Checker<'_> {
    fn error<T>(&self, expr: &Expr, message: impl Into<String>) -> Checked<T> {
        Err(error_at(self.text, expr.at, message))
    }

    pub(super) fn condition(&self, expr: &Expr) -> Checked<Filter> {
        match &expr.kind {
            Kind::Bool(value) => Ok(Filter::Always(*value)),
            Kind::Not(inner) => Ok(Filter::Not(Box::new(self.condition(inner)?))),
            Kind::And(parts) => Ok(Filter::All(self.conditions(parts)?)),
            Kind::Or(parts) => Ok(Filter::Any(self.conditions(parts)?)),
            Kind::Compare(op, left, right) => self.comparison(expr, *op, left, right),
            Kind::In(left, right) => self.membership(expr, left, right),
            Kind::Call(Some(target), name, arguments) => self.method(expr, target, name, arguments),
            Kind::Name(name) => match self.operand(expr)? {
                Operand::Flag(flag) => Ok(Filter::Flag(flag)),
                _ => self.error(expr, format!("identifier {name:?} is not boolean")),
            },
            _ => self.error(expr, "expected a condition"),
        }
    }

    fn conditions(&self, parts: &[Expr]) -> Checked<Vec<Filter>> {
        parts.iter().map(|part| self.condition(part)).collect()
    }

    fn operand(&self, expr: &Expr) -> Checked<Operand> {
        match &expr.kind {
            Kind::Name(name) => self.name(expr, name),
            Kind::Call(Some(target), name, arguments) if name.starts_with("get") => {
                self.accessor(expr, target, name, arguments)
            }
            Kind::Call(None, name, arguments) if name == "size" => match arguments.as_slice() {
                [argument] => match self.operand(argument)? {
                    Operand::Text(TextField::Content) => Ok(Operand::Number(NumberField::ContentSize)),
                    Operand::Tags => Ok(Operand::Number(NumberField::TagsSize)),
                    _ => self.error(expr, "size() takes content or tags"),
                },
                _ => self.error(expr, "size() expects one argument"),
            },
            _ => self.known(expr).map(Operand::Known),
        }
    }

    fn name(&self, expr: &Expr, name: &str) -> Checked<Operand> {
        Ok(match (self.about, name) {
            (_, "now") => Operand::Known(constant::moment(self.now)),
            (About::Notes, "content") => Operand::Text(TextField::Content),
            (About::Notes, "creator") => Operand::Text(TextField::Creator),
            (About::Notes, "uid") if self.dialect.is_old() => Operand::Text(TextField::Uid),
            (About::Notes, "creator_id") => Operand::Number(NumberField::CreatorId),
            (About::Notes, "created_ts") => Operand::Moment(TimeField::Created),
            (About::Notes, "updated_ts") => Operand::Moment(TimeField::Updated),
            (About::Notes, "pinned") => Operand::Flag(Flag::Pinned),
            (About::Notes, "visibility") => Operand::Text(TextField::Visibility),
            (About::Notes, "visibilities") if self.dialect != Dialect::Today => Operand::Visibilities,
            (About::Notes, "tags") => Operand::Tags,
            (About::Notes, "tag") => Operand::Tag,
            (About::Notes, "has_task_list") => Operand::Flag(Flag::HasTaskList),
            (About::Notes, "has_link") => Operand::Flag(Flag::HasLink),
            (About::Notes, "has_code") => Operand::Flag(Flag::HasCode),
            (About::Notes, "has_incomplete_tasks") => Operand::Flag(Flag::HasIncompleteTasks),
            // The dialect of 0.22, in which times are numbers.
            (About::Notes, "display_time_before" | "display_time_after") if self.dialect != Dialect::Today => {
                Operand::Number(NumberField::Time(TimeField::Created))
            }
            (About::Attachments, "filename") => Operand::Text(TextField::Filename),
            (About::Attachments, "mime_type") => Operand::Text(TextField::Kind),
            (About::Attachments, "create_time") => Operand::Moment(TimeField::Uploaded),
            (About::Attachments, "memo_id") => Operand::Note,
            _ => return self.error(expr, format!("undeclared reference to {name:?}")),
        })
    }

    /// A constant expression.
    fn known(&self, expr: &Expr) -> Checked<Value> {
        let folded = match &expr.kind {
            Kind::Int(value) => Ok(Value::Int(*value)),
            Kind::Text(value) => Ok(Value::Text(value.clone())),
            Kind::Bool(value) => Ok(Value::Bool(*value)),
            Kind::Null => Ok(Value::Null),
            Kind::Name(name) if name == "now" => Ok(constant::moment(self.now)),
            Kind::Negative(inner) => constant::negative(&self.known(inner)?),
            Kind::Call(None, name, arguments) if self.dialect.is_old() && name == "now" && arguments.is_empty() => {
                Ok(Value::Int(self.now))
            }
            Kind::Arithmetic(..) => return self.calculated(expr),
            Kind::Call(None, name, arguments) => match (name.as_str(), arguments.as_slice()) {
                ("timestamp", [argument]) => constant::timestamp(&self.known(argument)?),
                ("duration", [argument]) => constant::duration(&self.known(argument)?),
                ("timestamp" | "duration", _) => Err(format!("{name}() expects one argument")),
                _ => Err(format!("undeclared reference to {name:?}")),
            },
            Kind::Name(name) => {
                self.name(expr, name)?;
                Err("unsupported value expression".to_owned())
            }
            _ => Err("unsupported value expression".to_owned()),
        };
        folded.or_else(|message| self.error(expr, message))
    }

    /// A chain like `1 + 2 - 3`, in a loop: it may have thousands of parts.
    fn calculated(&self, expr: &Expr) -> Checked<Value> {
        let (mut first, mut steps) = (expr, Vec::new());
        while let Kind::Arithmetic(sign, left, right) = &first.kind {
            steps.push((first, *sign, right));
            first = left;
        }
        let mut value = self.known(first)?;
        for (step, sign, right) in steps.into_iter().rev() {
            let right = self.known(right)?;
            if let (true, Value::Int(seconds), Value::Span(_)) = (self.dialect.is_old(), &value, &right) {
                value = constant::moment(*seconds);
            }
            let folded = constant::arithmetic(sign, &value, &right);
            value = folded.or_else(|message| self.error(step, message))?;
        }
        Ok(value)
    }

    fn accessor(&self, expr: &Expr, target: &Expr, name: &str, arguments: &[Expr]) -> Checked<Operand> {
        let part = match name {
            "getFullYear" => Part::FullYear,
            "getMonth" => Part::Month,
            "getDate" => Part::Date,
            "getDayOfMonth" => Part::DayOfMonth,
            "getDayOfWeek" => Part::DayOfWeek,
            "getDayOfYear" => Part::DayOfYear,
            "getHours" => Part::Hours,
            "getMinutes" => Part::Minutes,
            "getSeconds" => Part::Seconds,
            _ => return self.error(expr, format!("undeclared reference to {name:?}")),
        };
        if !arguments.is_empty() {
            return self.error(expr, format!("{name}() with a timezone argument is not supported"));
        }
        match self.operand(target)? {
            Operand::Moment(field) => Ok(Operand::Number(NumberField::Part(field, part))),
            Operand::Known(Value::Moment(at)) => {
                Ok(Operand::Known(Value::Int(super::part_of(constant::seconds(at), part))))
            }
            _ => self.error(expr, format!("{name}() applies to a timestamp")),
        }
    }

    fn comparison(&self, expr: &Expr, op: Op, left: &Expr, right: &Expr) -> Checked<Filter> {
        if let (Kind::Name(name), Kind::List(values)) = (&left.kind, &right.kind)
            && name == "visibilities"
            && self.about == About::Notes
            && self.dialect != Dialect::Today
            && op == Op::Eq
        {
            return Ok(Filter::Text(TextField::Visibility, TextTest::OneOf(self.texts(expr, values)?)));
        }
        if self.dialect.is_old()
            && op == Op::Eq
            && let (Kind::Name(name), Kind::List(values)) = (&left.kind, &right.kind)
        {
            match name.as_str() {
                "content_search" => {
                    let has = |text| Filter::Text(TextField::Content, TextTest::Contains(text));
                    let mut all: Vec<Filter> = self.texts(expr, values)?.into_iter().map(has).collect();
                    let only = if all.len() == 1 { all.pop() } else { None };
                    return Ok(only.unwrap_or(Filter::All(all)));
                }
                "tag_search" => return Ok(Filter::Tags(TagsTest::HasAll(self.texts(expr, values)?))),
                _ => {}
            }
        }
        let op = match &left.kind {
            Kind::Name(name) if name == "display_time_before" && op == Op::Eq => Op::Lt,
            Kind::Name(name) if name == "display_time_after" && op == Op::Eq => Op::Gt,
            _ => op,
        };
        match (self.operand(left)?, self.operand(right)?) {
            (Operand::Known(a), Operand::Known(b)) => {
                let answer = constant::compare(op, &a, &b);
                answer.map(Filter::Always).map_err(|message| error_at(self.text, expr.at, message))
            }
            (field, Operand::Known(value)) => self.compare(expr, &field, op, value),
            (Operand::Known(value), field) => self.compare(expr, &field, op.flipped(), value),
            _ => self.error(expr, "two fields cannot be compared with each other"),
        }
    }

    fn compare(&self, expr: &Expr, field: &Operand, op: Op, value: Value) -> Checked<Filter> {
        let equality = matches!(op, Op::Eq | Op::Ne);
        match (field, value) {
            (Operand::Flag(flag), Value::Bool(wanted)) if equality => {
                let filter = Filter::Flag(*flag);
                Ok(if (op == Op::Eq) == wanted { filter } else { Filter::Not(Box::new(filter)) })
            }
            (Operand::Text(field), Value::Text(text)) => {
                let ordered = matches!(field, TextField::Content | TextField::Filename | TextField::Kind);
                if !equality && !ordered {
                    return self.error(expr, "this field supports == and != only");
                }
                Ok(Filter::Text(*field, TextTest::Compare(op, text)))
            }
            (Operand::Number(NumberField::CreatorId), Value::Int(_)) if !equality => {
                self.error(expr, "this field supports == and != only")
            }
            (Operand::Number(field), Value::Int(number)) => Ok(Filter::Number(*field, op, number)),
            (Operand::Moment(field), Value::Moment(at)) => {
                Ok(Filter::Number(NumberField::Time(*field), op, constant::seconds(at)))
            }
            (Operand::Moment(field), Value::Int(seconds)) if self.dialect.is_old() => {
                Ok(Filter::Number(NumberField::Time(*field), op, seconds))
            }
            (Operand::Tag, Value::Text(tag)) if self.dialect.is_old() && op == Op::Eq => {
                Ok(Filter::Tags(TagsTest::Has(tag)))
            }
            (Operand::Note, Value::Null) if op == Op::Eq => Ok(Filter::Unused),
            (Operand::Note, Value::Null) if op == Op::Ne => Ok(Filter::Not(Box::new(Filter::Unused))),
            (Operand::Note, Value::Int(number)) if equality => Ok(Filter::Number(NumberField::NoteId, op, number)),
            (Operand::Tag, _) => self.error(expr, "field \"tag\" does not support comparison"),
            (Operand::Tags | Operand::Visibilities, _) => self.error(expr, "unsupported value expression"),
            (_, value) => self.error(expr, format!("this field cannot be compared with a {} so", value.kind())),
        }
    }

    fn membership(&self, expr: &Expr, left: &Expr, right: &Expr) -> Checked<Filter> {
        let Kind::List(values) = &right.kind else {
            return match self.operand(right)? {
                Operand::Tags => match self.known(left)? {
                    Value::Text(tag) => Ok(Filter::Tags(TagsTest::Has(tag))),
                    other => self.error(left, format!("a tag is a string, not a {}", other.kind())),
                },
                _ => self.error(right, "expected a list or tags after in"),
            };
        };
        if values.is_empty() {
            return self.error(right, "an empty list finds nothing: name a value");
        }
        match self.operand(left)? {
            Operand::Tag => Ok(Filter::Tags(TagsTest::Under(self.texts(expr, values)?))),
            Operand::Text(field) => Ok(Filter::Text(field, TextTest::OneOf(self.texts(expr, values)?))),
            Operand::Number(field) => Ok(Filter::NumberIn(field, self.numbers(values)?)),
            Operand::Note => Ok(Filter::NumberIn(NumberField::NoteId, self.numbers(values)?)),
            _ => self.error(left, "this cannot stand before in"),
        }
    }

    fn texts(&self, expr: &Expr, values: &[Expr]) -> Checked<Vec<String>> {
        if values.is_empty() {
            return self.error(expr, "an empty list finds nothing: name a value");
        }
        let one = |value: &Expr| match self.known(value)? {
            Value::Text(text) => Ok(text),
            other => self.error(value, format!("expected a string, not a {}", other.kind())),
        };
        values.iter().map(one).collect()
    }

    fn numbers(&self, values: &[Expr]) -> Checked<Vec<i64>> {
        let one = |value: &Expr| match self.known(value)? {
            Value::Int(number) => Ok(number),
            other => self.error(value, format!("expected an int, not a {}", other.kind())),
        };
        values.iter().map(one).collect()
    }

    /// `content.contains(…)`, `tags.exists(…)`, `sets.contains(…)`.
    fn method(&self, expr: &Expr, target: &Expr, name: &str, arguments: &[Expr]) -> Checked<Filter> {
        if target.kind == Kind::Name("sets".to_owned()) {
            return self.sets(expr, name, arguments);
        }
        match (self.operand(target)?, arguments) {
            (Operand::Tags, [tag]) if self.dialect.is_old() && name == "contains" => match self.known(tag)? {
                Value::Text(tag) => Ok(Filter::Tags(TagsTest::Has(tag))),
                _ => self.error(tag, "contains() takes a string"),
            },
            (Operand::Tags, [variable, test]) => {
                let test = self.tag_test(variable, test)?;
                match name {
                    "exists" => Ok(Filter::Tags(TagsTest::Exists(test))),
                    "all" => Ok(Filter::Tags(TagsTest::All(test))),
                    "exists_one" | "existsOne" => Ok(Filter::Tags(TagsTest::ExistsOne(test))),
                    _ => self.error(expr, format!("tags.{name}() is not supported")),
                }
            }
            (Operand::Text(field), [argument]) => {
                if matches!(field, TextField::Creator | TextField::Visibility | TextField::Uid) {
                    return self.error(expr, format!("this field does not support {name}()"));
                }
                let Value::Text(value) = self.known(argument)? else {
                    return self.error(argument, format!("{name}() takes a string"));
                };
                self.text_method(expr, field, name, value)
            }
            _ => self.error(expr, format!("{name}() is not supported here")),
        }
    }

    fn text_method(&self, expr: &Expr, field: TextField, name: &str, value: String) -> Checked<Filter> {
        let test = match name {
            "contains" => TextTest::Contains(value),
            "startsWith" => TextTest::StartsWith(value),
            "endsWith" => TextTest::EndsWith(value),
            "matches" => {
                TextTest::Matches(Pattern::new(&value).map_err(|message| error_at(self.text, expr.at, message))?)
            }
            _ => return self.error(expr, format!("undeclared reference to {name:?}")),
        };
        Ok(Filter::Text(field, test))
    }

    fn tag_test(&self, variable: &Expr, test: &Expr) -> Checked<TagTest> {
        let unsupported = || self.error(test, "expected t == \"x\", or startsWith, endsWith or contains on t");
        let Kind::Name(_) = &variable.kind else { return self.error(variable, "expected a name") };
        let text = |value: &Expr| match self.known(value)? {
            Value::Text(text) => Ok(text),
            other => self.error(value, format!("expected a string, not a {}", other.kind())),
        };
        match &test.kind {
            Kind::Compare(Op::Eq, left, right) if left.kind == variable.kind => Ok(TagTest::Equals(text(right)?)),
            Kind::Compare(Op::Eq, left, right) if right.kind == variable.kind => Ok(TagTest::Equals(text(left)?)),
            Kind::Call(Some(target), name, arguments) if target.kind == variable.kind => {
                match (name.as_str(), arguments.as_slice()) {
                    ("startsWith", [value]) => Ok(TagTest::StartsWith(text(value)?)),
                    ("endsWith", [value]) => Ok(TagTest::EndsWith(text(value)?)),
                    ("contains", [value]) => Ok(TagTest::Contains(text(value)?)),
                    _ => unsupported(),
                }
            }
            _ => unsupported(),
        }
    }

    fn sets(&self, expr: &Expr, name: &str, arguments: &[Expr]) -> Checked<Filter> {
        let [tags, values] = arguments else { return self.error(expr, "sets functions take tags and a list") };
        let (Operand::Tags, Kind::List(values)) = (self.operand(tags)?, &values.kind) else {
            return self.error(expr, "sets functions take tags and a list");
        };
        let values = self.texts(expr, values)?;
        match name {
            "contains" => Ok(Filter::Tags(TagsTest::HasAll(values))),
            "intersects" => Ok(Filter::Tags(TagsTest::HasAny(values))),
            "equivalent" => Ok(Filter::Tags(TagsTest::Same(values))),
            _ => self.error(expr, format!("undeclared reference to \"sets.{name}\"")),
        }
    }
}
