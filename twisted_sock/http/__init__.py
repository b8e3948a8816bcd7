"""HTTP/1.1 for one small site: heads, answers, who may ask, the page's files, the connection."""
