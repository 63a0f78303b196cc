//! What there is, and its cards.

use kensaku::hub::{Search, Sort};
use kensaku::show::Show;
use polars::prelude::{AnyValue, DataFrame};

use super::fake::FakeHub;
use super::message;
use crate::shared::{Trials, test};

pub fn trials() -> Trials {
    vec![test("hub::a_search_is_a_frame", searches), test("hub::cards", cards)]
}

fn row(frame: &DataFrame, index: usize) -> Vec<String> {
    frame
        .columns()
        .iter()
        .map(|column| match column.get(index).unwrap() {
            AnyValue::String(text) => text.to_owned(),
            other => other.to_string(),
        })
        .collect()
}

fn searches() {
    let fake = FakeHub::new();
    let found = fake.hub().models("japanese retrieval").unwrap();
    assert_eq!(
        found.get_column_names().iter().map(|name| name.as_str()).collect::<Vec<_>>(),
        ["id", "task", "language", "library", "downloads", "likes", "licence", "date"]
    );
    assert_eq!(
        row(&found, 0),
        ["cl/ruri", "sentence-similarity", "ja", "sentence-transformers", "1234", "5", "apache-2.0", "2025-02-28"]
    );
    assert_eq!(row(&found, 1), ["x/y", "text-retrieval", "en, ja", "null", "7", "null", "null", "2024-01-01"]);
    assert_eq!(found.column("date").unwrap().dtype(), &polars::prelude::DataType::Date);
    assert_eq!(
        fake.server.seen(),
        ["GET /api/models?search=japanese+retrieval&sort=downloads&limit=50&full=true", "GET /api/models?cursor=2"]
    );
    fake.server.forget();
    let search = Search {
        author: Some("cl".to_owned()),
        task: Some("sentence-similarity".to_owned()),
        language: Some("ja".to_owned()),
        library: Some("sentence-transformers".to_owned()),
        licence: Some("mit".to_owned()),
        tags: vec!["bert".to_owned()],
        sort: Sort::Modified,
        limit: 1,
        ..Search::default()
    };
    assert_eq!(fake.hub().models(search.clone()).unwrap().height(), 1);
    let data = Search { library: None, ..search.clone() };
    fake.hub().datasets(data).unwrap();
    let filters = |task: &str, language: &str, library: &str| {
        format!(
            "filter={task}sentence-similarity&filter={language}ja{library}&filter=license%3Amit&filter=bert&author=cl&sort=lastModified&limit=1&full=true"
        )
    };
    assert_eq!(
        fake.server.seen(),
        [
            format!("GET /api/models?{}", filters("", "", "&filter=sentence-transformers")),
            format!("GET /api/datasets?{}", filters("task_categories%3A", "language%3A", "")),
        ]
    );
    assert!(message(fake.hub().datasets(search.clone())).starts_with("library = "));
    assert!(message(fake.hub().models(Search { limit: 0, ..search })).starts_with("limit = 0: expected 1 to 10,000"));
}

fn cards() {
    let fake = FakeHub::new();
    fake.put("a/b", "README.md", "---\nlicense: mit\n---\n# Model\n");
    fake.put("datasets/a/b", "README.md", "# Data\n");
    let card = fake.hub().card("a/b").unwrap();
    assert_eq!((card.front_matter(), card.body()), ("license: mit", "# Model\n"));
    assert_eq!(card.bundle().data["text/markdown"], "```yaml\nlicense: mit\n```\n\n# Model\n");
    assert_eq!(fake.hub().dataset_card("a/b").unwrap().text, "# Data\n");
    let said = message(fake.hub().card("a/c"));
    assert!(said.starts_with("a/c: ") && said.contains("(404)"), "{said}");
}
