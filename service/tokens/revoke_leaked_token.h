// Ends a token on the word of whoever found its token string.
#ifndef TOLLGATE_SERVICE_TOKENS_REVOKE_LEAKED_TOKEN_H_
#define TOLLGATE_SERVICE_TOKENS_REVOKE_LEAKED_TOKEN_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "service/records/change.h"
#include "token/digest.h"
#include "tollgate/v1/token_service.pb.h"

namespace tollgate::service {

// The token that was found, hashed on arrival: neither the token string nor its edge digest enters
// a command.
struct LeakedToken {
  // The digests under which the token may lie: Keyring::Candidates. At least one.
  std::vector<std::pair<uint32_t, token::StoredDigest>> candidates;
  std::string reason;
  std::string request_id;
};

// TOKEN_UNKNOWN (NOT_FOUND): no token has one of these digests. For a token that has ended already
// the answer is its end, as in revoke_token.h.
class RevokeLeakedTokenCommand : public ChangeTo<tollgate::v1::RevokeLeakedTokenResponse> {
 public:
  // INVALID_ARGUMENT for the shape.
  static absl::StatusOr<std::shared_ptr<RevokeLeakedTokenCommand>> Make(LeakedToken leaked,
                                                                        absl::string_view actor);

  // It may be an operator token.
  bool ends_batch() const override { return true; }

 protected:
  absl::Status Apply(const storage::View& view, const storage::Slot& slot,
                     storage::Effects& effects) override;

 private:
  RevokeLeakedTokenCommand(Context context, LeakedToken leaked)
      : ChangeTo(std::move(context)), leaked_(std::move(leaked)) {}

  const LeakedToken leaked_;
};

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_TOKENS_REVOKE_LEAKED_TOKEN_H_
