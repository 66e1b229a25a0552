"""fetch_sdist.py PROJECT VERSION OUT.tar.gz: a source package, from where pip is told to look."""
import re
import subprocess
import sys
import urllib.parse
import urllib.request

from pip._internal.models.index import PyPI  # where pip looks when nobody has told it

project, version, out = sys.argv[1:]
asked = subprocess.run([sys.executable, "-m", "pip", "config", "get", "global.index-url"], capture_output=True,
                       text=True)
index = (asked.stdout.strip() or PyPI.simple_url).rstrip("/") + f"/{project}/"
links = re.findall(r'href="([^"#]+)', urllib.request.urlopen(index, timeout=60).read().decode())
name = f"{project.replace('-', '_')}-{version}.tar.gz"
link = next((x for x in links if x.endswith("/" + name)), None)
if not link:
    sys.exit(f"{index} has no {name}")
urllib.request.urlretrieve(urllib.parse.urljoin(index, link), out)
