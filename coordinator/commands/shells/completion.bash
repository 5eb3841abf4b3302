# Completion of "distbelief", of "python -m distbelief" and, in a checkout, of "python -m
# coordinator". Where it knows nothing: file names.

# Arguments: the words as the program counts them, the index of the word at the cursor, and the
# command that answers.
_distbelief_ask() {
    local kind value words=$1 word=$2
    shift 2
    COMPREPLY=()
    while IFS=',' read -r kind value; do
        [[ $kind == plain ]] && COMPREPLY+=("$value")
    done < <(env COMP_WORDS="$words" COMP_CWORD="$word" _DISTBELIEF_COMPLETE=bash_complete \
        "$@" 2>/dev/null)
    [[ ${#COMPREPLY[@]} -eq 0 ]] || compopt -o nosort 2>/dev/null
}

_distbelief() {
    _distbelief_ask "${COMP_WORDS[*]}" "$COMP_CWORD" "$1"
}

_distbelief_python() {
    local module=${COMP_WORDS[2]}
    if [[ ${COMP_WORDS[1]} == -m && $COMP_CWORD -gt 2 &&
        ($module == distbelief || $module == coordinator) ]]; then
        _distbelief_ask "${COMP_WORDS[*]:2}" $((COMP_CWORD - 2)) "$1" -m "$module"
    elif [[ -n $_distbelief_before ]]; then
        "$_distbelief_before" "$@"  # what completed Python until now
    fi
}

_distbelief_before=$(complete -p python 2>/dev/null | sed -n 's/.* -F \([^ ]*\) .*/\1/p')
[[ $_distbelief_before == _distbelief_python ]] && _distbelief_before=
complete -o bashdefault -o default -F _distbelief distbelief
complete -o bashdefault -o default -F _distbelief_python python python3
