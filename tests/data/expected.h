// The tables made by make_expected.py: one line a case, fields separated by tabs.
#pragma once

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "core/files.h"
#include "data/image.h"

namespace gs::test {

inline std::filesystem::path data_dir() {
    return std::filesystem::path(GS_SOURCE_DIR) / "tests/data";
}

inline std::vector<std::vector<std::string>> read_table(const std::string& name) {
    std::ifstream in(data_dir() / name);
    std::vector<std::vector<std::string>> rows;
    for (std::string line; std::getline(in, line);) {
        std::vector<std::string> fields(1);
        for (char c : line)
            if (c == '\t')
                fields.emplace_back();
            else
                fields.back() += c;
        rows.push_back(fields);
    }
    return rows;
}

inline std::vector<std::vector<std::string>> cases(const std::string& kind) {
    std::vector<std::vector<std::string>> rows;
    for (const auto& row : read_table("expected.tsv"))
        if (row[0] == kind) rows.push_back(row);
    return rows;
}

inline Image open_image(const std::filesystem::path& path) {
    return decode_image(read_file(path, ErrorKind::Data));
}

// "83x61" and the hash's first half, or "fail" and "-".
struct Result {
    std::string size, hash;
    bool operator==(const Result&) const = default;
    friend std::ostream& operator<<(std::ostream& out, const Result& r) {
        return out << r.size << " " << r.hash;
    }
};

inline std::string half_hash(std::span<const std::byte> bytes) {
    return sha256_hex(bytes).substr(0, 32);
}

inline Result result(const Image& image) {
    return {std::to_string(image.width) + "x" + std::to_string(image.height),
            half_hash(std::as_bytes(std::span(image.rgb)))};
}

inline Result decode_result(const std::filesystem::path& path) {
    try {
        return result(open_image(path));
    } catch (const Error&) {
        return {"fail", "-"};
    }
}

inline Size parse_size(const std::string& text) {
    return {std::stoll(text), std::stoll(text.substr(text.find('x') + 1))};
}

}  // namespace gs::test
