# SPDX-License-Identifier: Apache-2.0
# fish completion for stallscope(1)

function __stallscope_dump
	not __fish_seen_subcommand_from doctor explain view
end

function __stallscope_dump_or_explain
	not __fish_seen_subcommand_from doctor view
end

function __stallscope_looks
	not __fish_seen_subcommand_from doctor explain
end

function __stallscope_live
	not __fish_seen_subcommand_from doctor explain dump
end

# The words of `stallscope explain`: verdicts, kinds, flags, categories.
function __stallscope_words
	stallscope explain 2>/dev/null | string replace -rf '^ +([A-Za-z][A-Za-z.-]*[A-Za-z])\S* +(.*)$' '$1\t$2'
end

complete -c stallscope -n __fish_is_first_arg -a dump -d 'one look at processes or cores'
complete -c stallscope -n __fish_is_first_arg -a view -d 'the live view'
complete -c stallscope -n __fish_is_first_arg -a explain -d 'what a verdict or a call means'
complete -c stallscope -n __fish_is_first_arg -a doctor -d 'what would fail here and why'
complete -c stallscope -n 'not __fish_seen_subcommand_from explain' -a '(__fish_complete_pids)'
complete -c stallscope -n '__fish_seen_subcommand_from explain' -f -a '(__stallscope_words)'

complete -c stallscope -n 'not __fish_seen_subcommand_from explain' -s p -l pid -x -a '(__fish_complete_pids)' -d 'a process'
complete -c stallscope -s v -l verbose -d 'all frames and groups'
complete -c stallscope -s q -l quiet -d 'no messages but errors'
complete -c stallscope -l version -d 'print the version'
complete -c stallscope -s h -l help -d 'print help'

complete -c stallscope -n __stallscope_dump -l for -x -a '0 200ms 1s 5s' -d 'how long to look'
complete -c stallscope -n __stallscope_looks -l threshold -x -a '50ms 100ms 500ms 1s' -d 'what counts as a stall'
complete -c stallscope -n __stallscope_dump_or_explain -s f -l format -x -a 'text json' -d 'text or json'
complete -c stallscope -n __stallscope_dump_or_explain -s o -l output -r -F -d 'write there'
complete -c stallscope -n __stallscope_dump -l save -r -F -d 'also write a sparse core'
complete -c stallscope -n __stallscope_dump -l native -x -a 'auto always never' -d 'frames of C too'
complete -c stallscope -n __stallscope_dump -l debuginfod -d 'debug information of C from servers'
complete -c stallscope -n __stallscope_dump -l freeze -d 'stop for a picture of one instant'
complete -c stallscope -n __stallscope_dump -l locals -d 'variables of frames: may be secrets'
complete -c stallscope -n __stallscope_dump -l redact -d 'leave out peers, arguments, names, values'
complete -c stallscope -n __stallscope_dump -l tasks -x -a 'groups tree all none' -d 'detail of tasks'
complete -c stallscope -n __stallscope_dump -l filter -x -a 'name= coroutine= state= place= waits=' -d 'show only tasks that match'
complete -c stallscope -n __stallscope_looks -l max-tasks -x -d 'read at most so many tasks'
complete -c stallscope -n 'not __fish_seen_subcommand_from doctor' -l culprits -r -F -d 'more rows for the catalogue'
complete -c stallscope -n __stallscope_dump -l exit-code -d '1 when the verdict is unhealthy'
complete -c stallscope -n __stallscope_dump -l label -x -d 'KEY=VALUE for machine output'
complete -c stallscope -n __stallscope_looks -l color -x -a 'auto always never' -d 'when to use colours'
complete -c stallscope -n 'not __fish_seen_subcommand_from doctor' -l ascii -d 'only ASCII in text'
complete -c stallscope -n '__fish_seen_subcommand_from doctor' -l dump-layout -r -F -d 'write the layout'
complete -c stallscope -n __stallscope_live -l children -d 'watch the children too'
complete -c stallscope -n __stallscope_live -l interval -x -a '50ms 100ms 500ms' -d 'between light looks'
complete -c stallscope -n __stallscope_live -l theme -x -a 'default mono light dark cb' -d 'colours'
complete -c stallscope -n __stallscope_live -l no-mouse -d 'leave the mouse to the terminal'
