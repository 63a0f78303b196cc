//! What there is on the hub, as a frame.

use polars::prelude::{DataFrame, DataType, IntoLazy, StrptimeOptions, col, df};
use reqwest::header::LINK;
use reqwest::{Response, Url};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Hub;
use super::http::{Http, hub_error, run};
use super::name::Kind;
use crate::Result;
use crate::error::expect;

/// What to look for. A text alone is one, too: `hub::models("japanese retrieval")`.
///
/// ```
/// use kensaku::hub::{Search, Sort};
///
/// let search = Search { language: Some("ja".to_owned()), sort: Sort::Modified, ..Search::from("retrieval") };
/// assert_eq!((search.text.as_str(), search.limit), ("retrieval", 50));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Search {
    /// Words of names, as the hub's own search takes them; empty for all.
    pub text: String,
    pub author: Option<String>,
    /// Such as `sentence-similarity`, `text-ranking`; of a data set `text-retrieval`.
    pub task: Option<String>,
    /// Such as `ja`, by its ISO code.
    pub language: Option<String>,
    /// Such as `sentence-transformers`; of models alone.
    pub library: Option<String>,
    /// Such as `apache-2.0`.
    pub licence: Option<String>,
    /// Further tags that all have.
    pub tags: Vec<String>,
    /// The order, largest first.
    pub sort: Sort,
    /// The most rows.
    pub limit: usize,
}

/// The order of what is found, largest or latest first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sort {
    #[default]
    Downloads,
    Likes,
    Modified,
    Created,
    Trending,
}

impl Sort {
    fn key(self) -> &'static str {
        match self {
            Self::Downloads => "downloads",
            Self::Likes => "likes",
            Self::Modified => "lastModified",
            Self::Created => "createdAt",
            Self::Trending => "trendingScore",
        }
    }
}

impl Default for Search {
    fn default() -> Self {
        Self {
            text: String::new(),
            author: None,
            task: None,
            language: None,
            library: None,
            licence: None,
            tags: Vec::new(),
            sort: Sort::Downloads,
            limit: 50,
        }
    }
}

impl From<&str> for Search {
    fn from(text: &str) -> Self {
        Self { text: text.to_owned(), ..Self::default() }
    }
}

impl From<String> for Search {
    fn from(text: String) -> Self {
        Self { text, ..Self::default() }
    }
}

impl Hub {
    /// See [`hub::models`](super::models).
    pub fn models(&self, search: impl Into<Search>) -> Result<DataFrame> {
        self.list(Kind::Model, &search.into())
    }

    /// See [`hub::datasets`](super::datasets).
    pub fn datasets(&self, search: impl Into<Search>) -> Result<DataFrame> {
        self.list(Kind::Dataset, &search.into())
    }

    fn list(&self, kind: Kind, search: &Search) -> Result<DataFrame> {
        expect("limit", search.limit, "1 to 10,000", (1..=10_000).contains(&search.limit))?;
        let library = format!("{:?}", search.library);
        let fits = kind == Kind::Model || search.library.is_none();
        expect("library", library, "none: data sets have no library", fits)?;
        if self.offline {
            let advice = "unset HF_HUB_OFFLINE to search";
            return Err(hub_error("the search", "HF_HUB_OFFLINE is set: the hub is not asked", advice));
        }
        let rows = run("the search", async {
            let http = Http::new(self)?;
            let mut next = Some(address(&http, kind, search)?);
            let mut rows = Vec::new();
            while let Some(url) = next.filter(|_| rows.len() < search.limit) {
                let response = http.send("the search", || http.get(&url)).await?;
                next = next_page(&response).filter(|next| next.starts_with(&*http.hub.endpoint));
                match http.json_of("the search", response).await? {
                    Value::Array(found) => rows.extend(found),
                    _ => {
                        let problem = format!("{} does not answer with a list", self.endpoint);
                        return Err(hub_error("the search", problem, "check HF_ENDPOINT"));
                    }
                }
            }
            rows.truncate(search.limit);
            Ok(rows)
        })?;
        frame(&rows)
    }
}

fn address(http: &Http<'_>, kind: Kind, search: &Search) -> Result<String> {
    let path = if kind == Kind::Model { "api/models" } else { "api/datasets" };
    let base = http.url(path);
    let mut url = Url::parse(&base).map_err(|error| hub_error(&base, error.to_string(), "check HF_ENDPOINT"))?;
    {
        let mut query = url.query_pairs_mut();
        let mut filter = |tag: &str| _ = query.append_pair("filter", tag);
        match (kind, &search.task) {
            (Kind::Dataset, Some(task)) => filter(&format!("task_categories:{task}")),
            (Kind::Model, Some(task)) => filter(task),
            (_, None) => {}
        }
        match (kind, &search.language) {
            (Kind::Dataset, Some(language)) => filter(&format!("language:{language}")),
            (Kind::Model, Some(language)) => filter(language),
            (_, None) => {}
        }
        search.library.iter().for_each(|library| filter(library));
        search.licence.iter().for_each(|licence| filter(&format!("license:{licence}")));
        search.tags.iter().for_each(|tag| filter(tag));
        if !search.text.is_empty() {
            query.append_pair("search", &search.text);
        }
        if let Some(author) = &search.author {
            query.append_pair("author", author);
        }
        query.append_pair("sort", search.sort.key());
        query.append_pair("limit", &search.limit.min(1_000).to_string());
        query.append_pair("full", "true");
    }
    Ok(url.into())
}

/// The address after `rel="next"`.
fn next_page(response: &Response) -> Option<String> {
    let links = response.headers().get(LINK)?.to_str().ok()?;
    let next = links.split(',').find(|link| link.contains("rel=\"next\""))?;
    Some(next.split_once('<')?.1.split_once('>')?.0.to_owned())
}

/// One row a repository. What the hub does not say is null.
fn frame(rows: &[Value]) -> Result<DataFrame> {
    let texts = |value: fn(&Value) -> Option<String>| rows.iter().map(value).collect::<Vec<_>>();
    let counts = |key: &str| rows.iter().map(|row| row[key].as_u64()).collect::<Vec<_>>();
    let frame = df!(
        "id" => texts(|row| row["id"].as_str().or(row["modelId"].as_str()).map(str::to_owned)),
        "task" => texts(|row| {
            row["pipeline_tag"].as_str().map(str::to_owned).or_else(|| tagged(row, "task_categories:"))
        }),
        "language" => texts(languages),
        "library" => texts(|row| row["library_name"].as_str().map(str::to_owned)),
        "downloads" => counts("downloads"),
        "likes" => counts("likes"),
        "licence" => texts(|row| tagged(row, "license:")),
        "date" => texts(|row| {
            let date = row["lastModified"].as_str().or(row["createdAt"].as_str())?;
            date.get(..10).map(str::to_owned)
        }),
    )?;
    let day = StrptimeOptions { format: Some("%Y-%m-%d".into()), strict: false, ..Default::default() };
    Ok(frame.lazy().with_column(col("date").cast(DataType::String).str().to_date(day)).collect()?)
}

/// The values of tags such as `license:mit`.
fn tagged(row: &Value, prefix: &str) -> Option<String> {
    let tags = row["tags"].as_array()?.iter().filter_map(|tag| tag.as_str()?.strip_prefix(prefix));
    Some(tags.collect::<Vec<_>>().join(", ")).filter(|values| !values.is_empty())
}

/// By the card where the hub gives it; else the tags `language:ja`, or of models `ja`.
fn languages(row: &Value) -> Option<String> {
    match &row["cardData"]["language"] {
        Value::String(language) => return Some(language.clone()),
        Value::Array(languages) if !languages.is_empty() => {
            return Some(languages.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "));
        }
        _ => {}
    }
    tagged(row, "language:").or_else(|| {
        let code = |tag: &&str| tag.len() == 2 && tag.bytes().all(|byte| byte.is_ascii_lowercase());
        let tags = row["tags"].as_array()?.iter().filter_map(Value::as_str);
        let tags: Vec<&str> = tags.filter(|tag| code(tag) || *tag == "multilingual").collect();
        Some(tags.join(", ")).filter(|languages| !languages.is_empty())
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_the_hub_does_not_say_is_null() {
        let none = frame(&[]).unwrap();
        assert_eq!((none.height(), none.width()), (0, 8));
        let found = frame(&[json!({ "id": "a/b", "lastModified": "soon" }), json!({})]).unwrap();
        assert_eq!(found.height(), 2);
        for frame in [&none, &found] {
            assert_eq!(frame.column("date").unwrap().dtype(), &DataType::Date);
        }
        assert_eq!(found.column("date").unwrap().null_count(), 2);
        assert_eq!(found.column("id").unwrap().null_count(), 1);
    }
}
