import Engine

extension Kernel {
  /// All threads of a process are to end with this status.
  ///
  /// - SeeAlso: Linux, `kernel/exit.c`, `do_group_exit`; `kernel/signal.c`, `zap_other_threads`
  func beginGroupExit(_ process: Process, status: Int32) {
    guard process.groupExit == nil, !process.isZombie else { return }
    process.groupExit = status
    process.groupStop = nil
    process.isStopped = false
    for thread in process.threads { wakeForSignal(thread, fatal: true) }
  }

  /// Ends a task.
  ///
  /// `status` is as `wait` reports it.
  ///
  /// - SeeAlso: Linux, `kernel/exit.c`, `do_exit`
  func exitTask(_ task: Task, status: Int32) {
    guard task.state != .dead else { return }
    let process = task.process
    if task === current, !isIdle { account(task) }
    task.stopWaiting()
    task.progress = nil
    exitRobustList(task)
    releaseMemory(task)
    drop(task.files)
    for other in tasks.values.sorted(by: { $0.tid < $1.tid }) where other.creator === task {
      // What keeps an ended task alive on the host must not show in the state.
      other.creator = nil
      if other.parentDeathSignal != 0, other.process !== process {
        send(.kernel(other.parentDeathSignal), to: other, group: true)
      }
    }
    task.state = .dead
    process.threads.removeAll { $0 === task }
    tasks[task.tid] = nil
    process.endedRuntime &+= task.runtime
    process.endedUsage += task.usage
    process.lastName = task.comm
    if task.isLeader { process.exitStatus = status }
    process.threadQueue.wakeAll()
    if process.threads.isEmpty {
      process.exitStatus = process.groupExit ?? process.exitStatus
      exitProcess(process, lastHandlers: task.handlers)
    } else if process.groupStop != nil, !process.isStopped,
      process.threads.allSatisfy({ $0.state == .stopped })
    {
      process.isStopped = true
      process.stopToReport = process.groupStop
      notifyParent(
        of: process, code: SignalInfo.CLD_STOPPED, status: process.groupStop ?? Signal.SIGSTOP)
    }
  }

  /// Gives up a task's memory: at its end, and when it execs (`reloading`: the guest reloads the
  /// root right after this gate call).
  ///
  /// - SeeAlso: Linux, `kernel/fork.c`, `mm_release`
  func releaseMemory(_ task: Task, reloading: Bool = false) {
    observer?.releasing(task)
    if let space = task.space {
      if task.clearChildTID != 0, users(space) > 1 {
        let address = task.clearChildTID
        try? space.store(address, UInt32(0))
        wakeFutex(space, address, count: 1)
      }
      task.clearChildTID = 0
      task.space = nil
      if drop(space) {
        if reloading {
          deadSpaces.append(space)
        } else {
          dyingSpaces.append(space)
        }
      }
    }
    finishVfork(task)
  }

  /// Lets the parent go on that waits in `vfork`.
  func finishVfork(_ task: Task) {
    guard let parent = task.vforkParent else { return }
    task.vforkParent = nil
    parent.wake()
  }

  private func exitProcess(_ process: Process, lastHandlers: SignalHandlers) {
    process.isZombie = true
    process.executableFile = nil
    process.stopToReport = nil
    process.continueToReport = false
    cancelTimers(process)
    if process === firstProcess {
      exitStatus = Self.exitStatus(process.exitStatus)
      return
    }
    var heir = process.parent
    while let candidate = heir, !(candidate.isSubreaper && !candidate.isZombie) {
      heir = candidate.parent
    }
    for child in process.children { reparent(child, to: heir ?? firstProcess) }
    process.children = []
    hangUpOrphans(process)
    notifyExit(process)
  }

  private func reparent(_ child: Process, to parent: Process?) {
    child.parent = parent
    child.exitSignal = Signal.SIGCHLD
    parent?.children.append(child)
    if child.isZombie { notifyExit(child) }
  }

  /// A group that has become orphaned and has stopped members is hung up and continued.
  ///
  /// - SeeAlso: Linux, `kernel/exit.c`, `kill_orphaned_pgrp`
  private func hangUpOrphans(_ process: Process) {
    for pgid in Set(liveProcesses.filter { $0.sid == process.sid }.map(\.pgid)).sorted() {
      let members = liveProcesses.filter { $0.pgid == pgid }
      guard members.contains(where: \.isStopped), isOrphanedGroup(pgid) else { continue }
      send(Signal.SIGHUP, toGroup: pgid)
      send(Signal.SIGCONT, toGroup: pgid)
    }
  }

  /// Tells the parent, or collects the zombie at once where the parent does not care.
  ///
  /// - SeeAlso: Linux, `kernel/signal.c`, `do_notify_parent`
  private func notifyExit(_ process: Process) {
    guard let parent = process.parent, !parent.isZombie else {
      forget(process)
      return
    }
    var autoReap = false
    if let leader = parent.leader, process.exitSignal > 0 {
      var isWanted = true
      if process.exitSignal == Signal.SIGCHLD {
        let action = leader.handlers[Signal.SIGCHLD]
        autoReap =
          action.handler == SignalAction.ignore
          || action.flags & SignalAction.SA_NOCLDWAIT != 0
        isWanted = action.handler != SignalAction.ignore
      }
      if isWanted {
        var info = childInfo(
          process, code: Self.childCode(process.exitStatus),
          status: Self.childStatus(process.exitStatus))
        info.signal = process.exitSignal
        send(info, to: leader, group: true)
      }
    }
    if autoReap { forget(process) }
    parent.childQueue.wakeAll()
  }

  /// A zombie has been waited for (`release_task`).
  func forget(_ process: Process) {
    process.parent?.children.removeAll { $0 === process }
    processes[process.pid] = nil
    tasks[process.pid] = nil
  }

  // MARK: Status words

  static func exitStatus(_ status: Int32) -> ExitStatus {
    let signal = status & 0x7f
    return signal == 0 ? .exited((status >> 8) & 0xff) : .killed(signal)
  }

  static func childCode(_ status: Int32) -> Int32 {
    if status & 0x7f == 0 { return SignalInfo.CLD_EXITED }
    return status & 0x80 != 0 ? SignalInfo.CLD_DUMPED : SignalInfo.CLD_KILLED
  }

  static func childStatus(_ status: Int32) -> Int32 {
    status & 0x7f == 0 ? (status >> 8) & 0xff : status & 0x7f
  }
}
