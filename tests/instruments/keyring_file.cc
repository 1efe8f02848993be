#include "tests/instruments/keyring_file.h"

#include <unistd.h>

#include <cstdlib>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace tollgate::instruments {

std::string KeyringText(const PepperKeys& peppers, uint32_t primary) {
  const auto pepper = [](std::string* out, const std::pair<uint32_t, std::string>& one) {
    absl::StrAppend(out, "{\"id\":", one.first, ",\"key\":\"", one.second, "\"}");
  };
  return absl::StrCat("{\"format\":1,\"primary\":", primary, ",\"peppers\":[",
                      absl::StrJoin(peppers, ",", pepper), "]}");
}

token::Keyring KeyringOf(const PepperKeys& peppers, uint32_t primary) {
  const char* const folder = std::getenv("TMPDIR");
  std::string path = absl::StrCat(folder != nullptr ? folder : "/tmp", "/keyring-XXXXXX");
  const int fd = mkstemp(path.data());  // mode 0600
  const std::string text = KeyringText(peppers, primary);
  if (fd < 0 || write(fd, text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    std::abort();
  }
  close(fd);
  absl::StatusOr<token::Keyring> keyring = token::Keyring::Load(path);
  unlink(path.c_str());
  return *std::move(keyring);
}

}  // namespace tollgate::instruments
