extension Kernel {
  /// Sends a signal to a thread or to its process.
  ///
  /// - SeeAlso: Linux, `kernel/signal.c`, `__send_signal_locked`
  /// - Returns: whether it was queued or dropped as Linux does; `false` where the queue is full.
  @discardableResult
  func send(_ info: SignalInfo, to task: Task, group: Bool) -> Bool {
    let signal = info.signal
    let process = task.process
    guard signal > 0, signal <= Signal.last, !process.isZombie else { return true }
    guard prepare(signal, task, force: info.code == SignalInfo.SI_KERNEL) else { return true }
    let pending = group ? process.pending : task.pending
    if signal < Signal.realtime, pending.set.contains(signal) { return true }
    if signal >= Signal.realtime, info.code != SignalInfo.SI_USER {
      let queued = process.threads.reduce(process.pending.count) { $0 + $1.pending.count }
      if UInt64(queued) >= process.limits[ResourceLimits.pendingSignals].soft { return false }
    }
    if group {
      process.pending.add(info)
    } else {
      task.pending.add(info)
    }
    complete(signal, task, group: group)
    return true
  }

  /// Job control's part of sending, and whether the signal has any effect.
  ///
  /// - SeeAlso: Linux, `kernel/signal.c`, `prepare_signal`
  private func prepare(_ signal: Int32, _ task: Task, force: Bool) -> Bool {
    let process = task.process
    if process.groupExit != nil { return signal == Signal.SIGKILL }
    let bit = SignalSet.bit(signal)
    if bit & SignalSet.stop != 0 {
      flush(process, SignalSet.bit(Signal.SIGCONT))
    } else if signal == Signal.SIGCONT {
      flush(process, SignalSet.stop)
      continueGroup(process)
    }
    if task.blocked.contains(signal) || task.awaited.contains(signal) { return true }
    return !task.handlers.ignores(signal)
  }

  private func flush(_ process: Process, _ signals: UInt64) {
    process.pending.flush(signals)
    for thread in process.threads { thread.pending.flush(signals) }
  }

  private func continueGroup(_ process: Process) {
    guard process.groupStop != nil else { return }
    let wasStopped = process.isStopped
    process.groupStop = nil
    process.isStopped = false
    process.stopToReport = nil
    for thread in process.threads { thread.wakeStopped() }
    if wasStopped {
      process.continueToReport = true
      notifyParent(of: process, code: SignalInfo.CLD_CONTINUED, status: Signal.SIGCONT)
    }
  }

  /// Chooses a thread and wakes it.
  ///
  /// - SeeAlso: Linux, `kernel/signal.c`, `complete_signal`
  private func complete(_ signal: Int32, _ task: Task, group: Bool) {
    func wants(_ thread: Task) -> Bool {
      guard !thread.blocked.contains(signal) || thread.awaited.contains(signal) else {
        return false
      }
      guard thread.state != .dead else { return false }
      if signal == Signal.SIGKILL { return true }
      guard thread.state != .stopped else { return false }
      return thread === current || !thread.block.flags.contains(.signalPending)
    }
    var chosen: Task?
    if wants(task) {
      chosen = task
    } else if group {
      chosen = task.process.threads.first(where: wants)
    }
    if let chosen {
      wakeForSignal(chosen, fatal: signal == Signal.SIGKILL)
    } else {
      // Nobody wants it now: everybody whose mask allows it looks, when he comes to look.
      for thread in group ? task.process.threads : [task]
      where !thread.blocked.contains(signal) {
        markSignal(thread)
      }
    }
  }

  /// Tells a thread to look at its signals, and wakes it if it sleeps interruptibly.
  func wakeForSignal(_ thread: Task, fatal: Bool) {
    markSignal(thread)
    switch thread.state {
    case .interruptible: thread.wake()
    case .killable: if fatal { thread.wake() }
    case .stopped: if fatal { thread.wakeStopped() }
    case .runnable, .dead: break
    }
  }

  func markSignal(_ thread: Task) {
    guard thread.state != .dead else { return }
    thread.block.flags.insert(.signalPending)
  }

  /// Makes `TIF_SIGPENDING` say what is pending (`recalc_sigpending`).
  public func recalculateSignals(_ task: Task) {
    guard task.state != .dead else { return }
    if task.hasSignal {
      task.block.flags.insert(.signalPending)
    } else {
      task.block.flags.remove(.signalPending)
    }
  }

  /// Sends a signal that an instruction of `task` raised.
  ///
  /// It can't be held up: where it is blocked or ignored its action becomes the default one.
  ///
  /// - SeeAlso: Linux, `kernel/signal.c`, `force_sig_info_to_task`
  public func force(_ info: SignalInfo, _ task: Task) {
    var action = task.handlers[info.signal]
    let isBlocked = task.blocked.contains(info.signal)
    if isBlocked || action.handler == SignalAction.ignore {
      action.handler = SignalAction.default
      task.handlers[info.signal] = action
      if isBlocked { task.blocked.remove(info.signal) }
    }
    guard task.process.groupExit == nil || info.signal == Signal.SIGKILL else { return }
    task.pending.add(info)
    wakeForSignal(task, fatal: false)
  }

  /// `force_sigsegv`: a frame for `signal` could not be written or read.
  func forceSegmentationFault(_ signal: Int32, _ task: Task) {
    if signal == Signal.SIGSEGV {
      task.handlers[Signal.SIGSEGV] = SignalAction()
    }
    force(.kernel(Signal.SIGSEGV), task)
  }

  /// Sends to every member of a process group.
  ///
  /// - Returns: whether there was one.
  @discardableResult
  public func send(_ signal: Int32, toGroup pgid: Int32) -> Bool {
    var found = false
    for process in liveProcesses where process.pgid == pgid {
      found = true
      if let leader = process.leader { send(.kernel(signal), to: leader, group: true) }
    }
    return found
  }

  /// Sends `SIGCHLD` to a parent about a stop or a continuation, and wakes its waits.
  ///
  /// - SeeAlso: Linux, `kernel/signal.c`, `do_notify_parent_cldstop`
  func notifyParent(of process: Process, code: Int32, status: Int32) {
    guard let parent = process.parent else { return }
    if let leader = parent.leader {
      let action = leader.handlers[Signal.SIGCHLD]
      if action.handler != SignalAction.ignore, action.flags & SignalAction.SA_NOCLDSTOP == 0 {
        send(childInfo(process, code: code, status: status), to: leader, group: true)
      }
    }
    parent.childQueue.wakeAll()
  }

  func childInfo(_ process: Process, code: Int32, status: Int32) -> SignalInfo {
    SignalInfo(
      Signal.SIGCHLD, code: code,
      .child(
        pid: process.pid, uid: process.credentials.ruid, status: status,
        utime: process.runtime / 10_000_000, stime: 0))
  }
}

extension Task {
  /// Whether a signal that is not blocked is pending, the group ends or stops.
  var hasSignal: Bool {
    if (pending.set.bits | process.pending.set.bits) & ~blocked.bits != 0 { return true }
    if process.groupExit != nil || process.groupStop != nil { return true }
    return process.execTask.map { $0 !== self } ?? false
  }

  /// Whether the task must end: nothing may hold it up.
  public var hasFatalSignal: Bool {
    process.groupExit != nil || process.execTask.map { $0 !== self } ?? false
      || pending.set.contains(Signal.SIGKILL) || process.pending.set.contains(Signal.SIGKILL)
  }

  /// Takes the next signal that `mask` does not block: the thread's own before the process's.
  func takeSignal(notIn mask: SignalSet) -> SignalInfo? {
    pending.nextSynchronous(notIn: mask) ?? pending.next(notIn: mask)
      ?? process.pending.next(notIn: mask)
  }
}
