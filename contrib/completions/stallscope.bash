# SPDX-License-Identifier: Apache-2.0
# bash completion for stallscope(1)

_stallscope_pids() {
	local folder name
	for folder in /proc/[0-9]*; do
		name=$(readlink "$folder/exe" 2>/dev/null) || continue
		[[ ${name##*/} != *python* && ${name##*/} != *uvicorn* ]] || printf '%s\n' "${folder##*/}"
	done
}

# The words of `stallscope explain`: verdicts, kinds, flags, categories.
_stallscope_words() {
	"${COMP_WORDS[0]}" explain 2>/dev/null | sed -n 's/^  *\([A-Za-z][A-Za-z.-]*[A-Za-z]\).*/\1/p'
}

_stallscope() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
	local command=dump i words=
	local dump='--pid --for --threshold --format --output --save --native --debuginfod --freeze --locals
		--redact --tasks --filter --max-tasks --culprits --exit-code --label --color --ascii
		--verbose --quiet
		--version --help'
	local view='--pid --threshold --max-tasks --culprits --color --ascii --children --interval
		--theme --no-mouse --verbose --quiet --version --help'
	local record='--pid --for --interval --count --threshold --output --tasks --max-tasks
		--culprits --label --redact --verbose --quiet --version --help'
	local report='--format --output --ascii --verbose --quiet --version --help'
	local diff='--for --threshold --format --output --culprits --ascii --verbose --quiet
		--version --help'
	local convert='--to --for --threshold --output --culprits --verbose --quiet --version --help'
	local check='--pid --for --threshold --max-tasks --culprits --verbose --quiet --version --help'
	local ps='--threshold --format --output --culprits --ascii --verbose --quiet --version --help'
	local watch='--pid --for --interval --count --threshold --all --children --exec --format
		--native --output --save --redact --max-tasks --culprits --exit-code --label --ascii
		--verbose --quiet --version --help'
	local explain='--format --output --culprits --ascii --verbose --quiet --version --help'
	local doctor='--pid --dump-layout --verbose --quiet --version --help'

	COMPREPLY=()
	case $prev in
	-f | --format)
		words='text json'
		[[ " ${COMP_WORDS[*]} " != *" report "* ]] || words+=' md html'
		;;
	--to) words='collapsed speedscope chrome prom otlp-json html' ;;
	--color | --native) words='auto always never' ;;
	--theme) words='default mono light dark cb' ;;
	--interval) words='50ms 100ms 500ms' ;;
	--tasks) words='groups tree all none' ;;
	--filter)
		compopt -o nospace 2>/dev/null
		words='name= coroutine= state= place= waits='
		;;
	--for) words='0 200ms 1s 5s' ;;
	--interval) words='100ms 1s 10s' ;;
	--threshold) words='50ms 100ms 500ms 1s' ;;
	-p | --pid) words=$(_stallscope_pids) ;;
	--label | --max-tasks | --count | --exec) return ;;
	-o | --output | --save | --culprits | --dump-layout)
		compopt -o filenames 2>/dev/null
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return
		;;
	esac
	if [[ -n $words ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
		return
	fi
	for ((i = 1; i < COMP_CWORD; i++)); do
		[[ ${COMP_WORDS[i]} != @(doctor|explain|view|record|watch|report|diff|convert|check|ps) ]] || command=${COMP_WORDS[i]}
	done
	if [[ $cur == -* ]]; then
		words=${!command}
		((COMP_CWORD > 1)) || words+=" $view" # no command yet: it may become either
		mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur" | sort -u)
		return
	fi
	if [[ $command == report ]]; then
		compopt -o filenames 2>/dev/null
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return
	fi
	if [[ $command == explain ]]; then
		words=$(_stallscope_words)
		[[ $cur != [a-z]* ]] || words+=" ${words,,}"
		mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur" | sort -u)
		return
	fi
	words=$(_stallscope_pids)
	((COMP_CWORD > 1)) || words+=' dump view record watch report diff convert check ps explain doctor'
	compopt -o filenames 2>/dev/null
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur"; compgen -f -- "$cur")
}

complete -F _stallscope stallscope
