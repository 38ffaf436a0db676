import GuestKernel
import Image
import Probes

extension ProgramProbes {
  /// Registers all of a plan's probes.
  ///
  /// - Parameters:
  ///   - plan: what to register.
  ///   - machine: the machine of these probes; its program has not run yet.
  /// - Returns: the probes on every instruction, where the plan has them.
  /// - Throws: ``LaunchError`` for a probe that is refused, or is not refused as it should.
  @discardableResult
  public func follow(
    _ plan: ProbePlan, on machine: ProgramMachine
  ) throws(LaunchError) -> [Uprobe] {
    subsystem.legacy = plan.legacy
    let swept = plan.probesEveryInsn ? try sweep(machine) : []
    for probe in plan.probes { try add(probe, machine) }
    return swept
  }

  private static func problem(_ text: String) -> LaunchError {
    LaunchError(description: text, status: RunReport.Status.usage)
  }

  private func sweep(_ machine: ProgramMachine) throws(LaunchError) -> [Uprobe] {
    guard let program = machine.program, let elf = try? ELFFile(program.bytes) else {
      throw Self.problem("the program is no ELF file: it has no instructions to probe")
    }
    var swept: [Uprobe] = []
    InsnSweep(elf, subsystem.isa).visit { address, _ in
      guard let offset = elf.fileOffset(address),
        let probe = try? subsystem.registerUprobe(
          UprobeRequest(.path(program.path), offset: offset, entry: { _ in .continue }))
      else { return }
      swept.append(probe)
    }
    return swept
  }

  /// Registers a probe, or checks that it is refused.
  private func add(_ probe: PlannedProbe, _ machine: ProgramMachine) throws(LaunchError) {
    // The last one registered at a place is the first one asked, and the event is to see what there
    // was before the action.
    if let action = probe.action, probe.refused == nil,
      let definition = try? EventParser.parse(probe.definition, tracer.world.names)
    {
      try act(definition, action, machine)
    }
    do throws(EventError) {
      try tracer.add(probe.definition)
    } catch {
      guard let errno = probe.refused else {
        throw LaunchError(lines: error.lines, status: RunReport.Status.usage)
      }
      guard "\(error.errno)" == errno else {
        throw Self.problem(
          "'\(probe.definition)' was to be refused with \(errno), but was with \(error)")
      }
      return
    }
    if let errno = probe.refused {
      throw Self.problem("'\(probe.definition)' was to be refused with \(errno), but was taken")
    }
  }

  /// A probe at an event's place that does something.
  private func act(
    _ definition: EventDefinition, _ action: PlannedProbe.Action, _ machine: ProgramMachine
  ) throws(LaunchError) {
    let handler = try handler(action, machine)
    do {
      let target = try tracer.locate(definition.placeText)
      if definition.isReturn {
        guard case .set(let values) = action else {
          throw Self.problem("'\(definition.text)': at a return only 'set' is possible")
        }
        let ret: (ProbeContext) -> Void = { hit in
          for (name, value) in values { hit.setRegister(name, value) }
        }
        switch target {
        case .kernel(let place):
          _ = try subsystem.registerKretprobe(KretprobeRequest(place, ret: ret))
        case .file(let path, let offset):
          _ = try subsystem.registerUretprobe(.path(path), offset: offset, ret: ret)
        }
        return
      }
      switch target {
      case .kernel(let place):
        _ = try subsystem.registerKprobe(KprobeRequest(place, pre: handler))
      case .file(let path, let offset):
        _ = try subsystem.registerUprobe(
          UprobeRequest(.path(path), offset: offset, entry: handler))
      }
    } catch let error as LaunchError {
      throw error
    } catch {
      throw Self.problem("'\(definition.text)': \(error)")
    }
  }

  private func handler(
    _ action: PlannedProbe.Action, _ machine: ProgramMachine
  ) throws(LaunchError) -> (ProbeContext) -> ProbeAction {
    let isa = subsystem.isa
    switch action {
    case .set(let values):
      for name in values.keys.sorted() where isa.registerOffset(name) == nil {
        throw Self.problem("there is no register '\(name)'")
      }
      return { hit in
        for (name, value) in values { hit.setRegister(name, value) }
        return .continue
      }
    case .override(let value):
      return { $0.overrideFunction(returning: value) }
    case .redirect(let place):
      guard let address = address(of: place, machine) else {
        throw Self.problem("there is no place '\(place)'")
      }
      return { _ in .redirect(address) }
    case .skip: return { _ in .skip }
    }
  }

  /// The address of a place: the program's symbols come before the kernel's.
  private func address(of place: String, _ machine: ProgramMachine) -> UInt64? {
    let elf = machine.program.flatMap { try? ELFFile($0.bytes) }
    return Quantity.address(of: place) { name in
      if let elf, !elf.isPIE, let symbol = elf.symbols.symbol(name) { return symbol.address }
      return machine.kernel.symbol(name)
    }
  }
}

extension Quantity {
  /// The address of `SYMBOL`, `SYMBOL+N` or a number.
  ///
  /// - Parameters:
  ///   - place: as written.
  ///   - symbol: the address of a symbol.
  /// - Returns: `nil` for what is neither.
  public static func address(of place: String, _ symbol: (String) -> UInt64?) -> UInt64? {
    if let number = number(place) { return number }
    let parts = place.split(separator: "+", maxSplits: 1).map(String.init)
    guard let name = parts.first else { return nil }
    var offset: UInt64 = 0
    if parts.count == 2 {
      guard let number = number(parts[1]) else { return nil }
      offset = number
    }
    return symbol(name).map { $0 &+ offset }
  }
}
