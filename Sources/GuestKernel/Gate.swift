import Engine

/// What guest kernel text asks the model for.
public enum GateFunction: UInt64, Sendable, CaseIterable {
  /// `BOOT()`: the first task's structure.
  case boot = 0
  /// `SYSCALL(nr, args*, regs*)`.
  case syscall = 1
  /// `FAULT(regs*, address, access)`.
  case fault = 2
  /// `TRAP(regs*, cause)`.
  case trap = 3
  /// `SIGNAL(regs*, TIF flag)`: value 2^32 + status: the task ends with that wait status.
  case signal = 4
  /// `SCHEDULE()`: the next task's structure.
  case schedule = 5
  /// `TICK(regs*)`.
  case tick = 6
  /// `IRQ(regs*)`.
  case irq = 7
  /// `IDLE()`: 1 where there is an interrupt to wait for, 0 where a task is runnable.
  case idle = 8
  /// `EXIT_TASK(code)`.
  case exitTask = 9
  /// `FORKED()`.
  case forked = 10
  /// `DIE(regs*)`.
  case die = 11
  /// `CONSOLE(pointer, length)`.
  case console = 12
  /// `OPTIMIZED_KPROBE(probed address, regs*)`.
  case optimizedKprobe = 13
}

/// What guest kernel text must do after a call of the model.
public struct GateAction: OptionSet, Sendable, Hashable {
  /// The bits in the second result register.
  public let rawValue: UInt64
  /// A set of the given bits.
  public init(rawValue: UInt64) { self.rawValue = rawValue }
  /// Forget every translation.
  public static let flushAll = GateAction(rawValue: 1)
  /// Forget the translation of the page in the third result.
  public static let flushPage = GateAction(rawValue: 2)
  /// Make instruction fetch see stores.
  public static let fenceInstructions = GateAction(rawValue: 4)
  /// Load the page-table register from the current task and forget every translation.
  public static let reloadRoot = GateAction(rawValue: 8)
  /// Call `schedule()`, then make the same call again.
  public static let block = GateAction(rawValue: 16)
}

/// The model's answer: the three result registers.
public struct GateReply: Sendable, Equatable {
  /// First result.
  public var value: UInt64
  /// Second result.
  public var action: GateAction
  /// Third result: the page for ``GateAction/flushPage``.
  public var a2: UInt64

  /// An answer of the given parts.
  public init(value: UInt64 = 0, action: GateAction = [], a2: UInt64 = 0) {
    self.value = value
    self.action = action
    self.a2 = a2
  }
}

extension Kernel {
  /// Serves one call of guest kernel text, with the argument registers a0 to a4.
  ///
  /// Never traps, whatever the arguments.
  public func gate(_ function: UInt64, arguments: [UInt64]) -> GateReply {
    func argument(_ index: Int) -> UInt64 {
      arguments.indices.contains(index) ? arguments[index] : 0
    }
    return gate(function, argument(0), argument(1), argument(2))
  }

  /// Serves one call of guest kernel text, with the argument registers a0 to a2: no function has
  /// more.
  ///
  /// Never traps, whatever the arguments.
  public func gate(_ function: UInt64, _ a0: UInt64, _ a1: UInt64, _ a2: UInt64) -> GateReply {
    isServing = true
    defer { isServing = false }
    freeDead()
    runTimers()
    switch GateFunction(rawValue: function) {
    case .boot:
      return GateReply(value: bootTask())
    case .syscall:
      return finish(
        syscallGate(number: a0, arguments: a1, regs: a2))
    case .fault:
      return finish(faultGate(regs: a0, address: a1, access: a2))
    case .trap:
      return finish(trapGate(regs: a0, cause: a1))
    case .signal:
      return finish(signalGate(a0))
    case .schedule:
      return finish(GateReply(value: schedule()))
    case .tick, .irq:
      tick()
      return finish(GateReply())
    case .idle:
      return GateReply(value: hasRunnable ? 0 : 1)
    case .exitTask:
      if let current, current.state != .dead {
        let status = Int32(truncatingIfNeeded: a0)
        exitTask(current, status: current.process.groupExit ?? status)
      }
      return GateReply()
    case .forked:
      return finish(GateReply())
    case .die:
      die(a0)
      return GateReply()
    case .console:
      printConsole(a0, a1)
      return GateReply()
    case .optimizedKprobe:
      for entry in trapHooks { entry.hook.jumpedProbe(self, address: a0, regs: a1) }
      return finish(GateReply())
    case nil:
      return GateReply(value: UInt64(bitPattern: -Int64(Errno.ENOSYS.rawValue)))
    }
  }

  /// Adds what the current address space wants flushed.
  private func finish(_ reply: GateReply) -> GateReply {
    var reply = reply
    if asidsWrapped {
      asidsWrapped = false
      reply.action.insert(.flushAll)
    }
    if instructionFlushNeeded {
      instructionFlushNeeded = false
      reply.action.insert(.fenceInstructions)
    }
    guard let space = current?.space else { return reply }
    let (translations, instructions) = space.takeFlush()
    if instructions { reply.action.insert(.fenceInstructions) }
    switch translations {
    case .none: break
    case .page(let va):
      if !reply.action.contains(.reloadRoot) {
        reply.action.insert(.flushPage)
        reply.a2 = va
      }
    case .all: reply.action.insert(.flushAll)
    }
    return reply
  }

  /// Hands over to the first task.
  private func bootTask() -> UInt64 {
    guard let first = firstProcess?.leader, first.state == .runnable else { return 0 }
    _ = schedule()
    return current?.block.va ?? 0
  }

  // MARK: Faults and traps

  /// Access types in the order of the gate's numbers.
  private static let accesses: [Access] = [.load, .store, .fetch]

  /// Asks the hooks about a trap or a page fault (``KernelTrap``).
  ///
  /// - Returns: the answer of the one that deals with it.
  package func askHooks(_ regsVA: UInt64, address: UInt64?, cause: UInt64) -> GateReply? {
    guard !trapHooks.isEmpty, let pa = kernelAddress(regsVA, frameSize) else { return nil }
    ram.willWrite(pa)
    ram.willWrite(pa &+ frameSize &- 1)
    let trap = KernelTrap(regs: regsVA, frame: ram.pointer(pa), address: address, cause: cause)
    for index in trapHooks.indices {
      if let reply = trapHooks[index].hook.trap(self, trap) { return reply }
    }
    return nil
  }

  private func faultGate(regs regsVA: UInt64, address: UInt64, access: UInt64) -> GateReply {
    if let reply = askHooks(regsVA, address: address, cause: access) { return reply }
    guard let task = current, let space = task.space,
      let regs = readKernel(regsVA, isa.ptRegs.size)
    else { return GateReply(value: 1) }
    let access = access < 3 ? Self.accesses[Int(access)] : .load
    let fromUser = isa.isUser(regs)
    statistics.pageFaults &+= 1
    switch space.handleFault(address, access, user: fromUser) {
    case .handled:
      task.usage.minorFaults &+= 1
      return GateReply()
    case .signal(let number, let code):
      guard fromUser else { return GateReply(value: 1) }
      for entry in trapHooks { entry.hook.trapRaisesSignal(self, task, regs: regsVA) }
      force(SignalInfo(number, code: code, .fault(address: address)), task)
    case .outOfMemory:
      log("Out of memory: Killed process \(task.process.pid) (\(task.comm))")
      send(.kernel(Signal.SIGKILL), to: task, group: true)
    }
    return GateReply(value: 1)
  }

  private func trapGate(regs regsVA: UInt64, cause: UInt64) -> GateReply {
    if let reply = askHooks(regsVA, address: nil, cause: cause) { return reply }
    guard let task = current, let before = readKernel(regsVA, isa.ptRegs.size),
      isa.isUser(before)
    else { return GateReply(value: 1) }
    for entry in trapHooks { entry.hook.trapRaisesSignal(self, task, regs: regsVA) }
    let signal = classifyTrap(cause, hart)
    let pc = (readKernel(regsVA, isa.ptRegs.size) ?? before).load64(isa.ptRegs.pc)
    if signal.code == SignalInfo.SI_KERNEL {
      force(.kernel(signal.signal), task)
    } else {
      force(SignalInfo(signal.signal, code: signal.code, .fault(address: pc)), task)
    }
    return GateReply(value: 1)
  }

  // MARK: The kernel's own voice

  private func die(_ regsVA: UInt64) {
    var message = "kernel oops"
    if let regs = readKernel(regsVA, isa.ptRegs.size) {
      let pc = regs.load64(isa.ptRegs.pc)
      message += " at pc 0x" + String(pc, radix: 16)
      if let found = image?.symbol(at: pc) {
        message += " (\(found.name)+0x" + String(found.offset, radix: 16) + ")"
      }
    }
    if let current { message += " in \(current.comm) (pid \(current.tid))" }
    log(message)
    exitStatus = .panicked(message)
  }

  private func printConsole(_ va: UInt64, _ count: UInt64) {
    let count = Int(min(count, 4096))
    if let bytes = readKernel(va, count) { log(String(decoding: bytes, as: UTF8.self)) }
  }
}
