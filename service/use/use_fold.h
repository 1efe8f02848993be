// Folds a token's old use into one row, so that edges that came and went (a new name for every pod)
// do not stay in the store for ever; and takes the addresses of attempts out of the rows of
// workspaces that ask for none any more. Pure.
#ifndef TOLLGATE_SERVICE_USE_USE_FOLD_H_
#define TOLLGATE_SERVICE_USE_USE_FOLD_H_

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "storage/engine.h"

namespace tollgate::service {

// What is folded: rows that are both
//  * of edges that used the token, or refused it, last longer ago than `retention`, and longer than
//  the quiet
//    period of the token's own rotation, where one is in force; and
//  * not among the token's `named` latest rows: few old names cost nothing, and say where to look.
// Folding never changes whether a token is silent. The folded row keeps the latest of the times and
// the sum of the counts, of the refused attempts too. JudgeSilence and the unused sweep ask for the
// latest use of all edges, and whether a replacement has any row. Only names are lost; a refusal
// names the edges of the quiet period, so those edges keep theirs.
struct UseFoldLimits {
  absl::Duration retention = absl::Hours(24 * 30);
  size_t named = 100;
  size_t max_rows = 1000;  // looked at in one step
};

// One step's outcome, for Engine::FoldUse.
struct UseFoldStep {
  std::vector<std::string> removed;
  std::vector<std::pair<std::string, tollgate::store::v1::UseRecord>> folded;
  // Where the next step begins; empty: the end of the table was reached.
  std::string next;
};

// Reads the use rows from key `from` on ("" is the table's beginning). A token with more rows than
// one step may read is folded step by step, and again in the next round, until its rows fit.
// Errors: the view's.
absl::StatusOr<UseFoldStep> PlanUseFold(const storage::View& view, const std::string& from,
                                        const UseFoldLimits& limits, absl::Time now);

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_USE_USE_FOLD_H_
