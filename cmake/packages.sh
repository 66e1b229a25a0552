# Sourced by the scripts that set a machine up: what Hone is built from (docs/DEPENDENCIES.md).
hone_packages="gcc libc6-dev cmake ninja-build pkg-config libyaml-dev libjansson-dev libhdf5-dev libpcre2-dev \
libutf8proc-dev zlib1g-dev libzstd-dev"

# The build and the runs are written beside the sources.
need_writable() {
    [ -w . ] && return 0
    echo "error: $PWD cannot be written to by $(id -un); build in a copy of your own" >&2
    exit 73
}

# install_packages [more...]: with apt-get as root; else prints the one line to run, and stops.
install_packages() {
    local missing="" package installed
    # shellcheck disable=SC2086
    installed=" $(dpkg-query -W -f='${Package}:${Status} ' $hone_packages "$@" 2>/dev/null || true)"
    for package in $hone_packages "$@"; do
        case $installed in
        *" $package:install ok installed "*) ;;
        *) missing="$missing $package" ;;
        esac
    done
    [ -n "$missing" ] || return 0
    if [ "$(id -u)" -ne 0 ]; then
        echo "These packages are needed; install them and start again:" >&2
        echo "  sudo apt-get install -y --no-install-recommends$missing" >&2
        exit 69
    fi
    echo "== packages:$missing"
    export DEBIAN_FRONTEND=noninteractive
    # shellcheck disable=SC2086
    apt-get install -y --no-install-recommends -qq $missing >/dev/null 2>&1 ||
        { apt-get update -qq && apt-get install -y --no-install-recommends -qq $missing >/dev/null; }
}
