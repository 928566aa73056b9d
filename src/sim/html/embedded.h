/*
 * What a page has inside, as bytes that CMake makes of the files in this folder.
 */
#ifndef BR_SIM_HTML_EMBEDDED_H
#define BR_SIM_HTML_EMBEDDED_H

#include <bruit/types.h>

struct bruit_bytes br_html_page_css(void);
struct bruit_bytes br_html_page_js(void);
struct bruit_bytes br_html_uplot_css(void);
struct bruit_bytes br_html_uplot_js(void);
struct bruit_bytes br_html_uplot_license(void);

#endif
