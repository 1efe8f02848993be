// Completes a receipt's last admissions from the use that edges have reported.
#ifndef TOLLGATE_SERVICE_RPC_LAST_ADMITS_H_
#define TOLLGATE_SERVICE_RPC_LAST_ADMITS_H_

#include <functional>

#include "service/feed/ledger/receipt.h"
#include "service/rpc/rpc_call.h"
#include "tollgate/v1/enforcement.pb.h"

namespace tollgate::service {

// Hands the receipt to `done`. Where the question names a token, its last admissions are completed
// first from the reported use (CompleteLastAdmits), which is read on the executor; otherwise `done`
// runs at once, on this thread. Where the use cannot be read, the receipt keeps only the unknown
// edges. `done` runs even where the call has ended meanwhile.
void WithLastAdmits(const RpcDeps& deps, const ReceiptQuestion& question,
                    tollgate::v1::Receipt receipt, std::function<void(tollgate::v1::Receipt)> done);

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_RPC_LAST_ADMITS_H_
