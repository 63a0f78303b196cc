//! One JSON object into the columns, without a tree of its values in between.

use std::fmt;

use serde::Deserialize;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::cells::{Columns, Scalar};
use crate::interrupt;

/// Appends the values of an object to the columns of its keys.
pub(super) struct Object<'a>(pub(super) &'a mut Columns);

impl<'de> DeserializeSeed<'de> for Object<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Object<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(column) = map.next_key_seed(Key(self.0))? {
            if interrupt::requested() {
                return Err(A::Error::custom("interrupted"));
            }
            map.next_value_seed(Cell { columns: self.0, column })?;
        }
        Ok(())
    }
}

/// The number of a key's column.
struct Key<'a>(&'a mut Columns);

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = usize;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<usize, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = usize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<usize, E> {
        self.0.column(key).ok_or_else(|| E::custom("a key that cannot be used"))
    }
}

/// A value goes to its column.
struct Cell<'a> {
    columns: &'a mut Columns,
    column: usize,
}

impl Cell<'_> {
    fn push<E: Error>(self, value: Scalar<'_>) -> Result<(), E> {
        self.columns.push(self.column, value).ok_or_else(|| E::custom("a value that cannot be used"))
    }

    fn nested<E: Error>(self, value: Value) -> Result<(), E> {
        self.push(Scalar::Nested(&value))
    }
}

impl<'de> DeserializeSeed<'de> for Cell<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Cell<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a value")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.push(Scalar::Null)
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<(), E> {
        self.push(Scalar::Boolean(flag))
    }

    fn visit_i64<E: Error>(self, integer: i64) -> Result<(), E> {
        self.push(Scalar::Integer(integer))
    }

    fn visit_u64<E: Error>(self, integer: u64) -> Result<(), E> {
        self.push(i64::try_from(integer).map_or(Scalar::Huge, Scalar::Integer))
    }

    fn visit_f64<E: Error>(self, float: f64) -> Result<(), E> {
        self.push(Scalar::Float(float))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.push(Scalar::String(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, array: A) -> Result<(), A::Error> {
        self.nested(Value::deserialize(SeqAccessDeserializer::new(array))?)
    }

    fn visit_map<A: MapAccess<'de>>(self, object: A) -> Result<(), A::Error> {
        self.nested(Value::deserialize(MapAccessDeserializer::new(object))?)
    }
}
