# SPDX-License-Identifier: Apache-2.0
# fish completion for stallscope(1)

function __stallscope_dump
	not __fish_seen_subcommand_from view record watch report diff convert check ps explain doctor
end

# dump, or one of those named
function __stallscope_or
	__stallscope_dump; or __fish_seen_subcommand_from $argv
end

# view, which a process without a command is, too
function __stallscope_live
	not __fish_seen_subcommand_from dump record watch report diff convert check ps explain doctor
end

# The words of `stallscope explain`: verdicts, kinds, flags, categories.
function __stallscope_words
	stallscope explain 2>/dev/null | string replace -rf '^ +([A-Za-z][A-Za-z.-]*[A-Za-z])\S* +(.*)$' '$1\t$2'
end

complete -c stallscope -n __fish_is_first_arg -a dump -d 'one look at processes or cores'
complete -c stallscope -n __fish_is_first_arg -a view -d 'the live view'
complete -c stallscope -n __fish_is_first_arg -a record -d 'looks again and again'
complete -c stallscope -n __fish_is_first_arg -a report -d 'recordings added up'
complete -c stallscope -n __fish_is_first_arg -a diff -d 'what got worse'
complete -c stallscope -n __fish_is_first_arg -a convert -d 'for other tools'
complete -c stallscope -n __fish_is_first_arg -a check -d 'a monitoring plug-in'
complete -c stallscope -n __fish_is_first_arg -a ps -d 'all Python processes'
complete -c stallscope -n __fish_is_first_arg -a watch -d 'waits for stalls'
complete -c stallscope -n __fish_is_first_arg -a explain -d 'what a verdict or a call means'
complete -c stallscope -n __fish_is_first_arg -a doctor -d 'what would fail here and why'
complete -c stallscope -n 'not __fish_seen_subcommand_from explain report ps' -a '(__fish_complete_pids)'
complete -c stallscope -n '__fish_seen_subcommand_from explain' -f -a '(__stallscope_words)'

complete -c stallscope -n 'not __fish_seen_subcommand_from explain report diff convert ps' -s p -l pid -x -a '(__fish_complete_pids)' -d 'a process'
complete -c stallscope -s v -l verbose -d 'all frames and groups'
complete -c stallscope -s q -l quiet -d 'no messages but errors'
complete -c stallscope -l version -d 'print the version'
complete -c stallscope -s h -l help -d 'print help'

complete -c stallscope -n '__stallscope_or record watch diff convert check' -l for -x -a '0 200ms 1s 5s' -d 'how long to look'
complete -c stallscope -n '__stallscope_or record watch diff convert check ps view' -l threshold -x -a '50ms 100ms 500ms 1s' -d 'what counts as a stall'
complete -c stallscope -n '__stallscope_or ps explain' -s f -l format -x -a 'text json' -d 'text or json'
complete -c stallscope -n '__stallscope_or record watch report diff convert ps explain' -s o -l output -r -F -d 'write there'
complete -c stallscope -n __stallscope_dump -l save -r -F -d 'also write a sparse core'
complete -c stallscope -n __stallscope_dump -l native -x -a 'auto always never' -d 'frames of C too'
complete -c stallscope -n __stallscope_dump -l debuginfod -d 'debug information of C from servers'
complete -c stallscope -n __stallscope_dump -l freeze -d 'stop for a picture of one instant'
complete -c stallscope -n __stallscope_dump -l locals -d 'variables of frames: may be secrets'
complete -c stallscope -n '__stallscope_or record watch' -l redact -d 'leave out peers, arguments, names, values'
complete -c stallscope -n '__stallscope_or record' -l tasks -x -a 'groups tree all none' -d 'detail of tasks'
complete -c stallscope -n __stallscope_dump -l filter -x -a 'name= coroutine= state= place= waits=' -d 'show only tasks that match'
complete -c stallscope -n '__stallscope_or record watch check view' -l max-tasks -x -d 'read at most so many tasks'
complete -c stallscope -n '__stallscope_or record watch diff convert check ps explain view' -l culprits -r -F -d 'more rows for the catalogue'
complete -c stallscope -n __stallscope_dump -l exit-code -d '1 when the verdict is unhealthy'
complete -c stallscope -n '__stallscope_or record watch' -l label -x -d 'KEY=VALUE for machine output'
complete -c stallscope -n '__stallscope_or view' -l color -x -a 'auto always never' -d 'when to use colours'
complete -c stallscope -n '__stallscope_or watch report diff ps explain view' -l ascii -d 'only ASCII in text'
complete -c stallscope -n '__fish_seen_subcommand_from doctor' -l dump-layout -r -F -d 'write the layout'
complete -c stallscope -n '__fish_seen_subcommand_from record' -l interval -x -a '100ms 1s 10s' -d 'from one look to the next'
complete -c stallscope -n '__fish_seen_subcommand_from record' -l count -x -d 'end after so many looks'
complete -c stallscope -n '__fish_seen_subcommand_from report' -s f -l format -x -a 'text json md html' -d 'format'
complete -c stallscope -n '__fish_seen_subcommand_from diff' -s f -l format -x -a 'text json md' -d 'format'
complete -c stallscope -n '__fish_seen_subcommand_from convert' -l to -x -a 'collapsed speedscope chrome prom otlp-json html' -d 'format'
complete -c stallscope -n '__fish_seen_subcommand_from watch' -l interval -x -a '5ms 10ms 50ms' -d 'from one look to the next'
complete -c stallscope -n '__fish_seen_subcommand_from watch' -l count -x -d 'end after so many stalls'
complete -c stallscope -n '__fish_seen_subcommand_from watch' -l all -d 'every Python process'
complete -c stallscope -n '__fish_seen_subcommand_from watch' -l children -d 'their child processes too'
complete -c stallscope -n '__fish_seen_subcommand_from watch' -l exec -x -d 'run a command for each stall'
complete -c stallscope -n '__fish_seen_subcommand_from watch' -l save -r -F -d 'a core of each stall'
complete -c stallscope -n '__fish_seen_subcommand_from watch' -l exit-code -d 'exit with 1 when there was a stall'
complete -c stallscope -n '__fish_seen_subcommand_from watch' -s f -l format -x -a 'text json jsonl' -d 'format'
complete -c stallscope -n '__fish_seen_subcommand_from watch' -l native -x -a 'auto always never' -d 'frames of C too'
complete -c stallscope -n __stallscope_live -l children -d 'watch the children too'
complete -c stallscope -n __stallscope_live -l interval -x -a '50ms 100ms 500ms' -d 'between light looks'
complete -c stallscope -n __stallscope_live -l theme -x -a 'default mono light dark cb' -d 'colours'
complete -c stallscope -n __stallscope_live -l no-mouse -d 'leave the mouse to the terminal'
