//! The files of the page, compiled into the daemon.

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// The content type and the content of the file at `path`.
pub(crate) fn asset(path: &str) -> Option<(&'static str, &'static str)> {
    Some(match path {
        "/" => (HTML, include_str!("assets/index.html")),
        "/page.css" => (CSS, include_str!("assets/page.css")),
        "/page.js" => (SCRIPT, include_str!("assets/page.js")),
        "/uplot.css" => (CSS, include_str!("assets/uplot.css")),
        "/uplot.js" => (SCRIPT, include_str!("assets/uplot.js")),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::asset;

    #[test]
    fn the_page_is_small_and_asks_no_other_server() {
        let paths = ["/", "/page.css", "/page.js", "/uplot.css", "/uplot.js"];
        let files = paths.map(|path| asset(path).expect("a file of the page").1);
        let bytes: usize = files.iter().map(|file| file.len()).sum();
        assert!(bytes < 100_000, "{bytes} bytes");
        // The chart library names its home in a comment.
        for (path, file) in paths.iter().zip(files).filter(|(path, _)| !path.contains("uplot")) {
            assert!(!file.contains("http://") && !file.contains("https://"), "{path}");
        }
    }
}
