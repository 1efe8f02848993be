// What a server's options come to for its parts, and the bounds of each choice.
#ifndef TOLLGATE_SERVICE_OPTION_PARTS_H_
#define TOLLGATE_SERVICE_OPTION_PARTS_H_

#include "absl/status/statusor.h"
#include "service/feed/hub.h"
#include "service/server_options.h"
#include "service/store_home.h"
#include "token/token_string.h"

namespace tollgate::service {

struct OptionParts {
  StoreHome home;             // where the store's files lie
  token::TokenFormat format;  // what token strings look like
  // What the feed is told. It has passed Hub::CheckOptions; what it works on, and whom it tells, is
  // for the caller to fill in.
  Hub::Options feed;
};

// Checks every option, before anything is touched: INVALID_ARGUMENT (reason BAD_FLAG, field the
// flag's name) for options that contradict themselves or a rule. What the feed and the store's home
// demand of their own is said there, and bears the flag's name here; every other bound stands here
// alone.
absl::StatusOr<OptionParts> PartsOf(const ServerOptions& options);

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_OPTION_PARTS_H_
