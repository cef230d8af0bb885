# What became of a job, as the cluster-generic executor asks for it: running, success or failed.
#   sh profiles/generic/status.sh pbs|sge|lsf JOB
# A job that the scheduler does not know may be too new, or between its queue and its accounting. It is asked for again, and
# counts as failed when it stays unknown for half a minute: Snakemake tries it again, instead of waiting for ever.

pbs() { # the history of finished jobs must be on: qmgr -c "print server" | grep job_history_enable
    qstat -x -f "$1" 2>/dev/null | awk '
        $1 == "job_state" { state = $3 }
        tolower($1) == "exit_status" { code = $3 }
        END { if (state == "F" || state == "C") print code == "0" ? "success" : "failed"; else if (state) print "running" }'
}

sge() { # a job in the state Eqw never starts
    listed=$(qstat 2>/dev/null | awk -v job="$1" '$1 == job { print $5 }')
    case $listed in
        E*) echo failed ;;
        ?*) echo running ;;
        *) qacct -j "$1" 2>/dev/null | awk '
            $1 == "failed" { failed = $2 }
            $1 == "exit_status" { code = $2 }
            END { if (code != "") print code == "0" && failed == "0" ? "success" : "failed" }' ;;
    esac
}

lsf() {
    case $(bjobs -a -noheader -o stat "$1" 2>/dev/null) in
        DONE) echo success ;;
        EXIT | ZOMBI) echo failed ;;
        ?*) echo running ;;
    esac
}

for look in 1 2 3 4 5 6; do
    status=$("$1" "$2")
    [ -n "$status" ] && break
    sleep "${STATUS_PAUSE:-5}"
done
echo "${status:-failed}"
