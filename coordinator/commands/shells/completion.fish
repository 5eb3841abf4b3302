# Completion of "distbelief", of "python -m distbelief" and, in a checkout, of "python -m
# coordinator". Where it knows nothing: file names.

function _distbelief_ask
    set -l words (commandline -cop)
    set -l command $words[1]
    if _distbelief_module
        set command $words[1..3]
        set words $words[3..]
    end
    set -l current (commandline -ct)
    set -l found
    for line in (env _DISTBELIEF_COMPLETE=fish_complete COMP_WORDS="$words $current" \
            COMP_CWORD="$current" $command 2>/dev/null)
        string match -q "plain,*" -- $line; and set -a found (string replace "plain," "" -- $line)
    end
    if set -q found[1]
        printf '%s\n' $found
    else
        __fish_complete_path $current
    end
end

function _distbelief_module
    set -l words (commandline -cop)
    contains -- "$words[2..3]" "-m distbelief" "-m coordinator"
end

complete --no-files --command distbelief --arguments "(_distbelief_ask)"
complete --no-files --command python --condition _distbelief_module --arguments "(_distbelief_ask)"
complete --no-files --command python3 --condition _distbelief_module --arguments "(_distbelief_ask)"
