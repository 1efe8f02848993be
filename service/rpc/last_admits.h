// Last admissions in a receipt: what edges said with their acknowledgements, and what they had
// reported before.
#ifndef TOLLGATE_SERVICE_RPC_LAST_ADMITS_H_
#define TOLLGATE_SERVICE_RPC_LAST_ADMITS_H_

#include <functional>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "service/feed/enforcement.h"
#include "service/rpc/rpc_call.h"
#include "service/use/silence.h"
#include "tollgate/v1/enforcement.pb.h"

namespace tollgate {

// Completes a receipt's last admissions of `token`, which hold so far what the edges said with
// their acknowledgements. An edge that acknowledged and said nothing has not admitted the token
// since its last use report, so an edge's last admission is the later of the two. It stays, or
// becomes, unknown where something was never told: the edge has not acknowledged, or a session of
// it ended without a last report (`gaps`), later than what is known of it and late enough to
// matter: after the token was created (`created`) and after its last known admission anywhere. No
// guess is made. At most 100 edges, the latest first, then the unknown ones.
void CompleteLastAdmits(absl::string_view token, const std::vector<EdgeUseRow>& uses,
                        const std::vector<SilenceEvidence::Gap>& gaps, absl::Time created,
                        tollgate::v1::Receipt* receipt);

// Where the question names a token: reads what was reported of it on the executor, completes the
// receipt, and hands it to `done`; else at once, on this thread. What cannot be read leaves the
// receipt with the unknown edges only: half of the truth would pass for the whole. The call may
// have ended meanwhile; `done` runs all the same.
void WithLastAdmits(const RpcDeps& deps, const ReceiptQuestion& question,
                    tollgate::v1::Receipt receipt, std::function<void(tollgate::v1::Receipt)> done);

}  // namespace tollgate

#endif  // TOLLGATE_SERVICE_RPC_LAST_ADMITS_H_
