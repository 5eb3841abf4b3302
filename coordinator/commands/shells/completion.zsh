# Completion of "distbelief", of "python -m distbelief" and, in a checkout, of "python -m
# coordinator". Where it knows nothing: file names.

# Arguments: the words as the program counts them, the index of the word at the cursor (from 0),
# and the command that answers.
_distbelief_ask() {
    local asked=$1 word=$2 kind value about
    local -a plain explained response
    shift 2
    response=("${(@f)$(env COMP_WORDS="$asked" COMP_CWORD="$word" \
        _DISTBELIEF_COMPLETE=zsh_complete "$@" 2>/dev/null)}")
    for kind value about in $response; do
        [[ $kind == plain ]] || continue
        if [[ $about == _ ]]; then
            plain+=("$value")
        else
            explained+=("$value:$about")
        fi
    done
    (( $#explained )) && _describe -V command explained -U
    (( $#plain )) && compadd -U -V words -a plain
    (( $#plain + $#explained )) || _files
}

_distbelief() {
    _distbelief_ask "${words[*]}" $((CURRENT - 1)) ${words[1]}
}

_distbelief_python() {
    local module=${words[3]}
    if [[ ${words[2]} == -m && $CURRENT -gt 3 &&
        ($module == distbelief || $module == coordinator) ]]; then
        _distbelief_ask "${words[3,-1]}" $((CURRENT - 3)) ${words[1]} -m $module
    elif (( $+_distbelief_before )); then
        $_distbelief_before "$@"  # what completed Python until now
    else
        _files
    fi
}

[[ -n ${_comps[python]} && ${_comps[python]} != _distbelief_python ]] &&
    _distbelief_before=${_comps[python]}
compdef _distbelief distbelief
compdef _distbelief_python python python3
