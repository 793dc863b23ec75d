#!/bin/sh
# The PDF renderer needs three system libraries that pip cannot bring. Install them where that is possible
# (root on Debian or Ubuntu); otherwise say what to type.
# Usage: tools/system.sh PYTHON
set -eu
python=$1
libraries="libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0"

if "$python" -c 'import weasyprint' 2>/dev/null; then
    exit 0
fi
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "Installing system libraries for PDF: $libraries"
    apt-get update -qq
    # shellcheck disable=SC2086
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $libraries >/dev/null
    "$python" -c 'import weasyprint'
    exit 0
fi
echo "The PDF renderer misses system libraries. On Debian or Ubuntu type:" >&2
echo "    sudo apt-get install $libraries" >&2
echo "On macOS: brew install pango. Then run the same make command again." >&2
exit 2
