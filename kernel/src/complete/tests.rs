//! Completion against the real index and rustc.

use super::index::build::build;

#[test]
fn built() {
    let at = std::time::Instant::now();
    let file = std::path::Path::new("/root/scratch/complete.index");
    let sysroot = std::path::Path::new("/root/.rustup/toolchains/stable-x86_64-unknown-linux-gnu");
    build(std::path::Path::new("/root/scratch/w/complete"), sysroot, file).unwrap();
    println!("{:?}, {} bytes", at.elapsed(), std::fs::metadata(file).unwrap().len());
    let at = std::time::Instant::now();
    let store = std::sync::Arc::new(super::index::store::Store::open(file).unwrap());
    println!("{:?} to open, {} records", at.elapsed(), store.len());
    let world = super::index::world::World::over(Some(store));
    let show = |path: &str| {
        let parts: Vec<String> = path.split("::").map(str::to_owned).collect();
        let root = world.root(&parts[0]);
        let id = root.and_then(|root| world.descend(root, &parts[1..], super::index::record::Space::Types));
        let record = id.and_then(|id| world.record(id));
        print!("{path}: {id:?} ");
        if let Some(record) = record {
            print!("{} {} children {} members {}", record.path, record.signature, record.children.len(), record.members.len());
            let mut members = 0; let mut impls = 0;
            world.for_impls(&super::index::record::Head::Named(id.unwrap()), |i| { impls += 1; members += i.members.len(); });
            print!(" impls {impls} with {members}");
        }
        println!();
    };
    for path in ["kensaku::data::Dataset", "kensaku::prelude", "kensaku::prelude::DataFrame", "kensaku::polars::prelude::LazyFrame", "kensaku::polars::prelude::Expr", "kensaku::polars::prelude::Column", "kensaku::candle_core::Tensor", "kensaku::candle_nn::VarBuilder", "std::vec::Vec", "std::option::Option", "std::collections::HashMap", "std::iter::Iterator", "std::string::String", "kensaku::polars::prelude::StringChunked", "kensaku::polars::prelude::IntoLazy", "std::prelude::v1", "kensaku::tokenizers::Tokenizer", "kensaku::plotters::prelude", "std::fs", "kensaku::nb"] {
        show(path);
    }
    for p in ["i32", "str", "f64", "u8"] {
        let mut members = 0;
        world.for_impls(&super::index::record::Head::Primitive(p.to_owned()), |i| { members += i.members.len(); });
        println!("{p} {members}");
    }
    println!("{:?}", world.crates().map(|(name, _)| name).collect::<Vec<_>>());
}
