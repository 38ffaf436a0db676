import Engine

extension Kernel {
  /// In the answer to `SIGNAL`: the task ends with the wait status in the low half.
  static let signalExit: UInt64 = 1 << 32

  /// On the way to user mode with `TIF_SIGPENDING`: takes a signal, or restarts a system call.
  ///
  /// - SeeAlso: Linux, `arch/riscv/kernel/signal.c`, `arch_do_signal_or_restart`;
  ///   `kernel/signal.c`, `get_signal`
  func signalGate(_ regsVA: UInt64) -> GateReply {
    guard let task = current, task.state != .dead else { return GateReply(action: .block) }
    task.stopWaiting()
    for entry in trapHooks where entry.hook.holdsSignals(self, task, regs: regsVA) {
      task.block.flags.remove(.signalPending)
      return GateReply()
    }
    guard var regs = readKernel(regsVA, isa.ptRegs.size) else { return GateReply() }
    let restart = pendingRestart(task, regs)
    while true {
      if task.mustEnd {
        let status = UInt32(bitPattern: task.process.groupExit ?? 0)
        return GateReply(value: Self.signalExit | UInt64(status))
      }
      if task.process.groupStop != nil {
        stop(task)
        return GateReply(action: .block)
      }
      guard let info = task.takeSignal(notIn: task.blocked) else { break }
      let signal = info.signal
      let action = task.handlers[signal]
      if action.handler == SignalAction.ignore { continue }
      if action.handler != SignalAction.default {
        if action.flags & SignalAction.SA_RESETHAND != 0 {
          task.handlers[signal].handler = SignalAction.default
        }
        task.restartResult = nil
        if let restart { rewind(task, &regs, restart, action) }
        if !enterHandler(task, &regs, info, action) {
          forceSegmentationFault(signal, task)
          continue
        }
        writeKernel(regsVA, regs)
        statistics.signalsDelivered &+= 1
        recalculateSignals(task)
        return GateReply()
      }
      let bit = SignalSet.bit(signal)
      if bit & SignalSet.ignoredByDefault != 0 { continue }
      if bit & SignalSet.stop != 0 {
        if signal != Signal.SIGSTOP, isOrphanedGroup(task.process.pgid) { continue }
        task.process.groupStop = signal
        for thread in task.process.threads where thread !== task {
          wakeForSignal(thread, fatal: false)
        }
        continue
      }
      recordFatal(info, task, regs)
      beginGroupExit(task.process, status: signal)
    }
    task.restartResult = nil
    if let restart {
      restartWithoutHandler(task, &regs, restart)
      writeKernel(regsVA, regs)
    }
    if let mask = task.savedMask {
      task.savedMask = nil
      task.blocked = mask
    }
    recalculateSignals(task)
    if task.hasSignal { return signalGate(regsVA) }
    return GateReply()
  }

  // MARK: Restarting system calls

  /// The restart error with which the interrupted system call ended, if it did.
  private func pendingRestart(_ task: Task, _ regs: [UInt8]) -> Errno? {
    guard let restart = task.restartResult else { return nil }
    let result = Int64(bitPattern: regs.load64(isa.ptRegs.result))
    return result == -Int64(restart.rawValue) ? restart : nil
  }

  /// A handler will run: repeat the call after it, or make it fail with `EINTR`.
  private func rewind(_ task: Task, _ regs: inout [UInt8], _ restart: Errno, _ action: SignalAction)
  {
    if restart == .ERESTARTSYS, action.flags & SignalAction.SA_RESTART != 0 {
      repeatCall(&regs)
    } else {
      regs.store64(isa.ptRegs.result, UInt64(bitPattern: -Int64(Errno.EINTR.rawValue)))
    }
  }

  private func restartWithoutHandler(_ task: Task, _ regs: inout [UInt8], _ restart: Errno) {
    repeatCall(&regs)
    if restart == .ERESTART_RESTARTBLOCK, let number = syscalls.number("restart_syscall") {
      let layout = isa.ptRegs
      let slot = layout.result == layout.arguments.first ? layout.syscallNumber : layout.result
      regs.store64(slot, UInt64(number))
    }
  }

  private func repeatCall(_ regs: inout [UInt8]) {
    let layout = isa.ptRegs
    regs.store64(layout.result, regs.load64(layout.originalArgument0))
    regs.store64(layout.pc, regs.load64(layout.pc) &- isa.syscallInsnLength)
  }

  // MARK: Frames

  /// Writes the frame and points `regs` at the handler.
  ///
  /// - SeeAlso: Linux, `arch/riscv/kernel/signal.c`, `setup_rt_frame`, `get_sigframe`;
  ///   `kernel/signal.c`, `signal_setup_done`
  /// - Returns: `false` where the stack can't be written.
  private func enterHandler(
    _ task: Task, _ regs: inout [UInt8], _ info: SignalInfo, _ action: SignalAction
  ) -> Bool {
    guard let space = task.space else { return false }
    let layout = isa.ptRegs
    let userSP = regs.load64(layout.sp)
    let stack = task.signalStack
    var top = userSP &- isa.redZone
    if stack.isOn(userSP), !stack.isOn(isa.signalFrameAddress(below: top)) { return false }
    if action.flags & SignalAction.SA_ONSTACK != 0, stack.state(userSP) == 0 {
      top = stack.sp &+ stack.size
    }
    let address = isa.signalFrameAddress(below: top)
    let hasRestorer = action.flags & SignalAction.SA_RESTORER != 0 && action.restorer != 0
    // Without a page for it, there is nowhere else to return to.
    guard hasRestorer || !isa.signalPage.isEmpty else { return false }
    var frameFlags = stack.state(userSP)
    frameFlags |= stack.flags & SignalStack.SS_AUTODISARM
    var frame = SignalFrame(
      regs: regs, fp: isa.saveFP(hart), mask: (task.savedMask ?? task.blocked).bits,
      siginfo: info.bytes, stack: (sp: stack.sp, flags: frameFlags, size: stack.size))
    frame.address = address
    frame.restorer = hasRestorer ? action.restorer : space.signalPage
    frame.fault = task.block.fault
    do throws(Errno) {
      try space.write(address, isa.encodeSignalFrame(frame))
    } catch {
      return false
    }
    isa.enterHandler(
      &regs, handler: action.handler, frame: address, signal: Int(info.signal),
      restorer: frame.restorer)
    if stack.flags & SignalStack.SS_AUTODISARM != 0 { task.signalStack = SignalStack() }
    task.savedMask = nil
    task.blocked.bits |= action.mask.bits
    if action.flags & SignalAction.SA_NODEFER == 0 { task.blocked.insert(info.signal) }
    task.blocked.bits &= ~SignalSet.unblockable
    return true
  }

  /// `rt_sigreturn`: puts back what the frame at the stack pointer holds.
  ///
  /// - Returns: what the result register is to hold.
  func signalReturn(_ task: Task, _ regsVA: UInt64) -> Int64 {
    guard let regs = readKernel(regsVA, isa.ptRegs.size), let space = task.space else { return 0 }
    task.restartBlock = nil
    let sp = regs.load64(isa.ptRegs.sp)
    guard
      let frame = isa.readSignalFrame(
        sp: sp, regs: regs, read: { va, count in try? space.read(va, count) })
    else {
      force(.kernel(Signal.SIGSEGV), task)
      return 0
    }
    task.blocked = SignalSet(frame.mask & ~SignalSet.unblockable)
    writeKernel(regsVA, frame.regs)
    isa.restoreFP(frame.fp, hart)
    task.block.setFP(isa.saveFP(hart))
    restoreStack(task, frame, sp: frame.regs.load64(isa.ptRegs.sp))
    recalculateSignals(task)
    return Int64(bitPattern: frame.regs.load64(isa.ptRegs.result))
  }

  /// `restore_altstack`: failures are not reported.
  private func restoreStack(_ task: Task, _ frame: SignalFrame, sp: UInt64) {
    _ = try? setSignalStack(
      task, SignalStack(sp: frame.stack.sp, size: frame.stack.size, flags: frame.stack.flags),
      currentSP: sp)
  }

  /// `do_sigaltstack`'s second half.
  ///
  /// - SeeAlso: Linux, `kernel/signal.c`, `do_sigaltstack`
  func setSignalStack(_ task: Task, _ stack: SignalStack, currentSP: UInt64) throws(Errno) {
    guard !task.signalStack.isOn(currentSP) else { throw .EPERM }
    let mode = stack.flags & ~SignalStack.SS_AUTODISARM
    guard mode == 0 || mode == SignalStack.SS_DISABLE || mode == SignalStack.SS_ONSTACK else {
      throw .EINVAL
    }
    if mode == SignalStack.SS_DISABLE {
      task.signalStack = SignalStack(sp: 0, size: 0, flags: stack.flags)
    } else {
      guard stack.size >= SignalStack.minimum else { throw .ENOMEM }
      task.signalStack = stack
    }
  }

  // MARK: Stopping and dying

  private func stop(_ task: Task) {
    let process = task.process
    task.state = .stopped
    guard process.threads.allSatisfy({ $0.state == .stopped || $0.state == .dead }),
      !process.isStopped
    else { return }
    process.isStopped = true
    process.stopToReport = process.groupStop
    process.continueToReport = false
    notifyParent(
      of: process, code: SignalInfo.CLD_STOPPED, status: process.groupStop ?? Signal.SIGSTOP)
  }

  /// Whether nobody outside a process group, in its session, could continue it.
  ///
  /// Deviation: the first program counts as a parent like any other, since it often is a shell.
  ///
  /// - SeeAlso: Linux, `kernel/exit.c`, `will_become_orphaned_pgrp`
  func isOrphanedGroup(_ pgid: Int32) -> Bool {
    for process in liveProcesses where process.pgid == pgid {
      if let parent = process.parent, parent.pgid != pgid, parent.sid == process.sid {
        return false
      }
    }
    return true
  }

  private func recordFatal(_ info: SignalInfo, _ task: Task, _ regs: [UInt8]) {
    let pc = regs.load64(isa.ptRegs.pc)
    let mapping = task.space?.vma(at: pc).flatMap { vma -> (path: String, offset: UInt64)? in
      guard let file = vma.file else { return nil }
      return (pathText(file), pc &- vma.start &+ vma.pageOffset &* 4096)
    }
    fatalSignal = FatalSignal(
      signal: info.signal, pc: pc,
      address: info.code > 0 && info.code < SignalInfo.SI_KERNEL ? info.address : nil,
      pid: task.tid, comm: task.comm, mapping: mapping,
      symbol: task.process === firstProcess ? task.space.flatMap { symbolize(pc, in: $0) } : nil)
  }
}

extension Task {
  /// Whether the task must end now: its group ends, or another thread of it execs.
  var mustEnd: Bool {
    process.groupExit != nil || process.execTask.map { $0 !== self } ?? false
  }
}
