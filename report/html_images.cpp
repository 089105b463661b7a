// The images that a method is most wrong about.
#include "core/numbers.h"
#include "core/printable.h"
#include "report/base64.h"
#include "report/html_parts.h"
#include "report/svg.h"
#include "report/text.h"

namespace gs::html {
namespace {

std::string thumbnail_id(size_t run, const RunReport& report, const Thumbnail* thumbnail) {
    return "image-" + std::to_string(run) + "-" + std::to_string(thumbnail - report.thumbnails.data());
}

std::string picture(size_t run, const RunReport& report, size_t set, const HardImage& image) {
    const Thumbnail* thumbnail = report.find_thumbnail(set, image.index);
    if (thumbnail == nullptr) return "<span class=\"no-picture\" aria-hidden=\"true\"></span>";
    return "<svg" +
           svg::attributes({{"viewBox", "0 0 " + std::to_string(thumbnail->width) + " " +
                                            std::to_string(thumbnail->height)},
                            {"role", "img"},
                            {"aria-label", printable(image.path, 300)}}) +
           (thumbnail->width <= 48 ? " class=\"pixels\"" : "") + "><use href=\"#" +
           thumbnail_id(run, report, thumbnail) + "\"/></svg>";
}

std::string item(size_t run, const RunReport& report, size_t set, const HardImage& image) {
    std::string classes;
    if (image.prediction) classes = "predicted " + std::to_string(*image.prediction);
    if (image.label) classes += (classes.empty() ? "" : "\n") + ("label " + std::to_string(*image.label));
    return "<li>" + picture(run, report, set, image) + "<span class=\"score\"" +
           svg::attributes({{"title", shortest(image.score)}}) + ">" + significant(image.score, 4) +
           "</span>" + "<span class=\"path\"" + svg::attributes({{"title", printable(image.path, 1000)}}) +
           "><bdi>" + xml_escaped(image.path, 300) + "</bdi></span><span class=\"classes\">" + classes +
           "</span></li>\n";
}

std::string method_images(const Page& page, size_t r, size_t m) {
    const RunReport& run = page.runs[r];
    std::string out = "<div class=\"hardest\" data-method=\"" + std::to_string(run.method_keys[m]) + "\">\n" +
                      element(page.heading(1), run.results.methods[m].name);
    for (size_t s = 0; s < run.results.sets.size(); ++s) {
        const auto& images = run.methods[m].hardest[s];
        if (images.empty()) continue;
        const SetInfo& set = run.results.sets[s];
        std::string items;
        for (const HardImage& image : images) items += item(r, run, s, image);
        out += "<div" + (s > 0 ? " data-set=\"" + std::to_string(run.set_keys[s]) + "\"" : "") + ">\n" +
               element(page.heading(2), s == 0 ? "Lowest scores of the ID set " + set.name
                                               : "Highest scores of the OOD set " + set.name) +
               "<ul class=\"images\">\n" + items + "</ul>\n</div>\n";
    }
    return out + "</div>\n";
}

}  // namespace

std::string hardest_images(const Page& page) {
    std::string runs;
    for (size_t r = 0; r < page.runs.size(); ++r) {
        const RunReport& run = page.runs[r];
        runs +=
            "<article class=\"run\" data-run=\"" + std::to_string(r) + "\">\n" + run_heading(page, r, "h3");
        for (const std::string& reason : run.no_thumbnails) runs += element("p", reason, "small");
        for (size_t m = 0; m < run.methods.size(); ++m) runs += method_images(page, r, m);
        runs += "</article>\n";
    }
    return section(
        "images", "Hardest images",
        element("p", page.has_ood()
                         ? "ID images with the lowest scores and OOD images with the highest: what "
                           "the method takes for the other kind."
                         : "ID images with the lowest scores: what the method takes for "
                           "out-of-distribution.") +
            "<div class=\"runs\">\n" + runs + "</div>\n");
}

std::string thumbnail_symbols(const Page& page) {
    std::string symbols;
    for (size_t r = 0; r < page.runs.size(); ++r)
        for (const Thumbnail& t : page.runs[r].thumbnails) {
            const std::string width = std::to_string(t.width), height = std::to_string(t.height);
            symbols += "<symbol" +
                       svg::attributes({{"id", thumbnail_id(r, page.runs[r], &t)},
                                        {"viewBox", "0 0 " + width + " " + height}}) +
                       "><image" +
                       svg::attributes({{"width", width},
                                        {"height", height},
                                        {"href", "data:image/jpeg;base64," + base64(t.jpeg)}}) +
                       "/></symbol>\n";
        }
    if (symbols.empty()) return "";
    return "<svg class=\"symbols\" width=\"0\" height=\"0\" aria-hidden=\"true\">\n" + symbols + "</svg>\n";
}

}  // namespace gs::html
