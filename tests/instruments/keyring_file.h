// Makes keyrings of several peppers by writing their file.
#ifndef TOLLGATE_TESTS_INSTRUMENTS_KEYRING_FILE_H_
#define TOLLGATE_TESTS_INSTRUMENTS_KEYRING_FILE_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "token/keyring.h"

namespace tollgate::instruments {

// The id of each pepper, with its key as 64 hexadecimal digits.
using PepperKeys = std::vector<std::pair<uint32_t, std::string>>;

// The file's text.
std::string KeyringText(const PepperKeys& peppers, uint32_t primary);

// The keyring that Keyring::Load reads from that text, in a file of its own that is removed again.
// The text must be well-formed; otherwise the process ends.
token::Keyring KeyringOf(const PepperKeys& peppers, uint32_t primary);

}  // namespace tollgate::instruments

#endif  // TOLLGATE_TESTS_INSTRUMENTS_KEYRING_FILE_H_
