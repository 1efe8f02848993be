// A view with unwritten changes laid over it.
#ifndef TOLLGATE_STORAGE_OVERLAY_VIEW_H_
#define TOLLGATE_STORAGE_OVERLAY_VIEW_H_

#include <array>
#include <map>
#include <string>
#include <vector>

#include "storage/engine.h"

namespace tollgate::storage {

// Shows what a reader would see if the applied mutations were written on top of `base`. Not
// thread-safe.
class OverlayView : public View {
 public:
  // `base` outlives this view.
  explicit OverlayView(const View* base) : base_(base) {}

  absl::StatusOr<absl::optional<std::string>> Get(Table table,
                                                  absl::string_view key) const override;
  absl::StatusOr<std::vector<Entry>> Scan(Table table, absl::string_view begin,
                                          absl::string_view end, size_t limit) const override;

  // Lays one more change on top; the last one of a key counts.
  void Apply(Mutation mutation);
  // All changes laid on top, each key once, in order of table and key.
  std::vector<Mutation> TakeMutations();

 private:
  // nullopt: deleted.
  using Changes = std::map<std::string, absl::optional<std::string>>;

  const View* const base_;
  std::array<Changes, kTableCount> changes_;
};

}  // namespace tollgate::storage

#endif  // TOLLGATE_STORAGE_OVERLAY_VIEW_H_
