#include "environment.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <iomanip>
#include <sstream>
#include <stdexcept>

namespace torchconv {
namespace {

/// An unset variable counts as empty.
std::string value_of(const char* variable) {
  const char* value = std::getenv(variable);
  return value == nullptr ? "" : value;
}

/// At most 60 bytes in single quotes, with "…" if cut. Bytes that are not printable ASCII appear
/// as \xNN, since Python decodes messages as UTF-8.
std::string quoted(const std::string& text) {
  constexpr size_t kMost = 60;
  std::ostringstream out;
  out << "'" << std::hex << std::setfill('0');
  for (const unsigned char byte : text.substr(0, kMost)) {
    if (byte >= 0x20 && byte < 0x7f) {
      out << byte;
    } else {
      out << "\\x" << std::setw(2) << static_cast<int>(byte);
    }
  }
  out << (text.size() > kMost ? "…'" : "'");
  return out.str();
}

}  // namespace

size_t index_of(const std::string& name, const std::vector<std::string>& names,
                const std::string& subject) {
  const auto found = std::find(names.begin(), names.end(), name);
  if (found != names.end()) return found - names.begin();
  std::string list;
  for (const std::string& known : names) list += (list.empty() ? "" : ", ") + known;
  throw std::invalid_argument(subject + " one of " + list + ", but got " + quoted(name));
}

size_t environment_choice(const char* variable, const std::vector<std::string>& names,
                          size_t otherwise, const std::string& kind) {
  const std::string value = value_of(variable);
  if (value.empty()) return otherwise;
  return index_of(value, names, std::string(variable) + ": expected" + kind);
}

bool environment_flag(const char* variable, bool otherwise) {
  const std::string given = value_of(variable);
  if (given.empty()) return otherwise;
  std::string value = given;
  std::transform(value.begin(), value.end(), value.begin(),
                 [](unsigned char letter) { return std::tolower(letter); });
  const std::vector<std::string> no = {"0", "false", "off", "no"}, yes = {"1", "true", "on", "yes"};
  std::vector<std::string> words = no;
  words.insert(words.end(), yes.begin(), yes.end());
  const bool is_word = std::find(words.begin(), words.end(), value) != words.end();
  const std::string subject = std::string(variable) + ": expected";
  return index_of(is_word ? value : given, words, subject) >= no.size();
}

}  // namespace torchconv
