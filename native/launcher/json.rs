//! JSON as the launcher reads and writes it: objects keep the order of their members, as JSON.parse and JSON.stringify do.

use serde_core::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_core::ser::{Serialize, SerializeMap, Serializer};

#[derive(Clone, Debug, PartialEq)]
pub enum Json {
    Null,
    Bool(bool),
    /// A whole number that is written without a point and an exponent.
    Whole(u64),
    /// Any other.
    Number(f64),
    Text(String),
    List(Vec<Json>),
    Object(Members),
}

/// From here on JavaScript has no number for each whole one.
const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;

/// Members of an object, in their order, each name once.
pub type Members = Vec<(String, Json)>;

impl Json {
    pub fn read(bytes: &[u8]) -> Option<Json> {
        serde_json::from_slice(bytes).ok()
    }

    pub fn line(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// With two blanks a level, as JSON.stringify(value, null, 2).
    pub fn lines(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default()
    }

    pub fn text(&self) -> Option<&str> {
        if let Json::Text(text) = self { Some(text) } else { None }
    }

    pub fn whole(&self, max: u64) -> Option<u64> {
        if let Json::Whole(number) = *self { Some(number).filter(|&number| number <= max) } else { None }
    }

    pub fn flag(&self) -> Option<bool> {
        if let Json::Bool(flag) = *self { Some(flag) } else { None }
    }

    pub fn list(&self) -> Option<&[Json]> {
        if let Json::List(list) = self { Some(list) } else { None }
    }

    pub fn members(&self) -> Option<&Members> {
        if let Json::Object(members) = self { Some(members) } else { None }
    }

    pub fn member(&self, name: &str) -> Option<&Json> {
        self.members()?.iter().find(|(found, _)| found == name).map(|(_, value)| value)
    }
}

impl From<&str> for Json {
    fn from(text: &str) -> Json {
        Json::Text(text.into())
    }
}

/// An object of these members.
pub fn object<const N: usize>(members: [(&str, Json); N]) -> Json {
    Json::Object(members.into_iter().map(|(name, value)| (name.into(), value)).collect())
}

pub fn texts<T: AsRef<str>>(list: impl IntoIterator<Item = T>) -> Json {
    Json::List(list.into_iter().map(|text| text.as_ref().into()).collect())
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Json, D::Error> {
        from.deserialize_any(Values)
    }
}

struct Values;

impl<'de> Visitor<'de> for Values {
    type Value = Json;

    fn expecting(&self, to: &mut std::fmt::Formatter) -> std::fmt::Result {
        to.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Whole(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Number(value as f64))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(Json::Number(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Json, A::Error> {
        let mut list = Vec::new();
        while let Some(value) = from.next_element()? {
            list.push(value);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Json, A::Error> {
        let mut members: Members = Vec::new();
        while let Some((name, value)) = from.next_entry::<String, Json>()? {
            // Which of two counts, and where JavaScript puts a number or a prototype, is for JSON.parse to say.
            let is_plain = name != "__proto__" && !name.bytes().all(|byte| byte.is_ascii_digit());
            if !is_plain || members.iter().any(|(other, _)| *other == name) {
                return Err(A::Error::custom("a name that is not plain"));
            }
            members.push((name, value));
        }
        Ok(Json::Object(members))
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Json::Null => to.serialize_unit(),
            Json::Bool(value) => to.serialize_bool(*value),
            Json::Whole(value) => to.serialize_u64(*value),
            Json::Number(value) if value.fract() == 0.0 && value.abs() < WHOLE_MAX => to.serialize_i64(*value as i64),
            Json::Number(value) => to.serialize_f64(*value),
            Json::Text(value) => to.serialize_str(value),
            Json::List(list) => to.collect_seq(list),
            Json::Object(members) => {
                let mut map = to.serialize_map(Some(members.len()))?;
                for (name, value) in members {
                    map.serialize_entry(name, value)?;
                }
                map.end()
            }
        }
    }
}
