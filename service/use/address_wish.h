// Which workspaces want to know from where refused tokens were tried. Pure.
#ifndef TOLLGATE_SERVICE_USE_ADDRESS_WISH_H_
#define TOLLGATE_SERVICE_USE_ADDRESS_WISH_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "storage/engine.h"

namespace tollgate::service {

// Clients' addresses are kept where the workspace's policy asks for them, and nowhere else,
// whatever an edge reports. Reads a policy only where there are addresses; best asked in the order
// of the workspaces. Not thread-safe.
class AddressWish {
 public:
  // `view` outlives it.
  explicit AddressWish(const storage::View& view) : view_(view) {}

  // Takes the addresses out of a row of use of this workspace that does not ask for them. True:
  // there were some. Errors: the view's.
  absl::StatusOr<bool> Apply(absl::string_view workspace, tollgate::store::v1::UseRecord* use);

 private:
  const storage::View& view_;
  std::string workspace_;  // that was looked up last; empty: none was
  bool asks_ = false;
};

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_USE_ADDRESS_WISH_H_
