//! The variables and type parameters around the cursor.

use ra_ap_syntax::ast::{self, AstNode, HasName, HasTypeBounds};
use ra_ap_syntax::{SyntaxKind, SyntaxNode, SyntaxToken};

use super::context::MARK;

/// The type parameters around a token, with their bounds.
pub(super) fn parameters(token: &SyntaxToken) -> Vec<(String, String)> {
    let lists = token.parent_ancestors().flat_map(|node| node.children().find_map(ast::GenericParamList::cast));
    let each = lists.flat_map(|list| list.type_or_const_params().collect::<Vec<_>>());
    let types = each.filter_map(|each| match each {
        ast::TypeOrConstParam::Type(parameter) => Some(parameter),
        ast::TypeOrConstParam::Const(_) => None,
    });
    let named = types.filter_map(|parameter| {
        Some((parameter.name()?.text().to_string(), parameter.type_bound_list()?.syntax().text().to_string()))
    });
    let clauses = token.parent_ancestors().flat_map(|node| node.children().find_map(ast::WhereClause::cast));
    let asked = clauses.flat_map(|clause| clause.predicates().collect::<Vec<_>>()).filter_map(|predicate| {
        Some((predicate.ty()?.syntax().text().to_string(), predicate.type_bound_list()?.syntax().text().to_string()))
    });
    named.chain(asked).collect()
}

/// The variables declared before a token, by `let`, parameters and patterns.
pub(super) fn locals(token: &SyntaxToken) -> Vec<String> {
    let at = token.text_range().start();
    let mut found = Vec::new();
    let mut from = |node: &SyntaxNode| {
        let patterns = node.descendants().filter_map(ast::IdentPat::cast);
        let names = patterns.filter_map(|pattern| pattern.name()).map(|name| name.text().to_string());
        found.extend(names.filter(|name| !name.starts_with(char::is_uppercase) && !name.contains(MARK)));
    };
    for node in token.parent_ancestors() {
        match node.kind() {
            SyntaxKind::STMT_LIST => {
                let lets = node.children().filter_map(ast::LetStmt::cast);
                let above: Vec<_> = lets.filter(|each| each.syntax().text_range().end() <= at).collect();
                above.iter().rev().filter_map(|each| each.pat()).for_each(|pattern| from(pattern.syntax()));
            }
            SyntaxKind::CLOSURE_EXPR | SyntaxKind::FN => {
                node.children().filter(|child| child.kind() == SyntaxKind::PARAM_LIST).for_each(|list| from(&list));
            }
            SyntaxKind::FOR_EXPR | SyntaxKind::MATCH_ARM => {
                node.children().find_map(ast::Pat::cast).iter().for_each(|pattern| from(pattern.syntax()));
            }
            SyntaxKind::IF_EXPR | SyntaxKind::WHILE_EXPR => {
                let conditions = node.descendants().filter_map(ast::LetExpr::cast);
                conditions.filter_map(|each| each.pat()).for_each(|pattern| from(pattern.syntax()));
            }
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::complete::context::Position;

    #[test]
    fn variables_above_are_known() {
        let code = "let (a, b) = f();\nfor c in x { if let Some(d) = c { g(|e| ¦) } }\nlet z = 1;";
        let cursor = code.find('¦').expect("there is a cursor");
        let position = Position::to_complete(&code.replace('¦', ""), cursor).expect("there is a name");
        let mut names = locals(&position.token);
        names.sort();
        assert_eq!(names, ["a", "b", "c", "d", "e"]);
    }
}
