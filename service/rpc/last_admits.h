// Reads for a receipt's last admissions what edges had reported of use before.
#ifndef TOLLGATE_SERVICE_RPC_LAST_ADMITS_H_
#define TOLLGATE_SERVICE_RPC_LAST_ADMITS_H_

#include <functional>

#include "service/feed/ledger/receipt.h"
#include "service/rpc/rpc_call.h"
#include "tollgate/v1/enforcement.pb.h"

namespace tollgate::service {

// Hands the receipt to `done`, completed by what was reported of the token that the question names
// (CompleteLastAdmits), which is read on the executor; where it names none, at once, on this
// thread. What cannot be read leaves the receipt with the unknown edges only. The call may have
// ended meanwhile; `done` runs all the same.
void WithLastAdmits(const RpcDeps& deps, const ReceiptQuestion& question,
                    tollgate::v1::Receipt receipt, std::function<void(tollgate::v1::Receipt)> done);

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_RPC_LAST_ADMITS_H_
