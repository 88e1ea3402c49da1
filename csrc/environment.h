// Settings with named values. An environment variable sets the initial value; a call replaces it.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace torchconv {

/// The index of `name` in `names`. Otherwise throws std::invalid_argument with one sentence:
/// `subject` + " one of a, b, but got 'c'".
size_t index_of(const std::string& name, const std::vector<std::string>& names,
                const std::string& subject);

/// The index of an environment variable's value in `names`; `otherwise` if it is unset or empty.
/// Throws std::invalid_argument for any other value: "VARIABLE: expected" + `kind` + " one of …".
size_t environment_choice(const char* variable, const std::vector<std::string>& names,
                          size_t otherwise, const std::string& kind = "");

/// True for 1, true, on and yes, false for 0, false, off and no, in upper or lower case;
/// `otherwise` if the variable is unset or empty. Throws std::invalid_argument for any other value.
bool environment_flag(const char* variable, bool otherwise);

}  // namespace torchconv
