// Keyrings of several peppers, made by writing their file.
#ifndef TOLLGATE_TESTS_INSTRUMENTS_KEYRING_FILE_H_
#define TOLLGATE_TESTS_INSTRUMENTS_KEYRING_FILE_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "token/keyring.h"

namespace tollgate::instruments {

// Of each pepper its id, and its key as 64 hexadecimal digits.
using PepperKeys = std::vector<std::pair<uint32_t, std::string>>;

// The file's text.
std::string KeyringText(const PepperKeys& peppers, uint32_t primary);

// What Keyring::Load makes of that text, from a file of its own that is gone again. The text must
// be well-formed: the process ends otherwise.
token::Keyring KeyringOf(const PepperKeys& peppers, uint32_t primary);

}  // namespace tollgate::instruments

#endif  // TOLLGATE_TESTS_INSTRUMENTS_KEYRING_FILE_H_
