import GuestKernel
import Machine
import Probes

extension Rig {
  /// Registers a scenario's probe, or checks that it is refused.
  func add(_ probe: Scenario.Probe) throws(HarnessError) {
    guard let tracer else { throw HarnessError("a bare board has no probes") }
    // The last one registered at a place is the first one asked, and the event is to see what there
    // was before the action.
    if let action = probe.action, probe.refused == nil,
      let definition = try? EventParser.parse(probe.definition, tracer.world.names)
    {
      try act(definition, action)
    }
    do throws(EventError) {
      try tracer.add(probe.definition)
    } catch {
      guard let errno = probe.refused else {
        throw HarnessError(error.lines.joined(separator: "; "))
      }
      guard "\(error.errno)" == errno else {
        throw HarnessError(
          "'\(probe.definition)' was to be refused with \(errno), but was with \(error)")
      }
      return
    }
    if let errno = probe.refused {
      throw HarnessError("'\(probe.definition)' was to be refused with \(errno), but was taken")
    }
  }

  /// A probe at an event's place that does something.
  private func act(
    _ definition: EventDefinition, _ action: Scenario.Probe.Action
  ) throws(HarnessError) {
    guard let tracer, let probes else { return }
    let handler = try handler(action)
    do {
      let target = try tracer.locate(definition.placeText)
      if definition.isReturn {
        guard case .set(let values) = action else {
          throw HarnessError("'\(definition.text)': at a return only 'set' is possible")
        }
        let ret: (ProbeContext) -> Void = { hit in
          for (name, value) in values { hit.setRegister(name, value) }
        }
        switch target {
        case .kernel(let place):
          _ = try probes.registerKretprobe(KretprobeRequest(place, ret: ret))
        case .file(let path, let offset):
          _ = try probes.registerUretprobe(.path(path), offset: offset, ret: ret)
        }
        return
      }
      switch target {
      case .kernel(let place):
        _ = try probes.registerKprobe(KprobeRequest(place, pre: handler))
      case .file(let path, let offset):
        _ = try probes.registerUprobe(
          UprobeRequest(.path(path), offset: offset, entry: handler))
      }
    } catch let error as HarnessError {
      throw error
    } catch {
      throw HarnessError("'\(definition.text)': \(error)")
    }
  }

  private func handler(
    _ action: Scenario.Probe.Action
  ) throws(HarnessError) -> (ProbeContext) -> ProbeAction {
    guard let probes else { throw HarnessError("a bare board has no probes") }
    switch action {
    case .set(let values):
      for name in values.keys where probes.isa.registerOffset(name) == nil {
        throw HarnessError("there is no register '\(name)'")
      }
      return { hit in
        for (name, value) in values { hit.setRegister(name, value) }
        return .continue
      }
    case .override(let value):
      return { $0.overrideFunction(returning: value) }
    case .redirect(let place):
      guard let address = address(of: place) else {
        throw HarnessError("there is no place '\(place)'")
      }
      return { _ in .redirect(address) }
    case .skip: return { _ in .skip }
    }
  }

  // MARK: Places

  /// The address of `SYMBOL`, `SYMBOL+N` or a number; the program's symbols come before the
  /// kernel's.
  public func address(of place: String) -> UInt64? {
    if let number = Quantity.number(place) { return number }
    let parts = place.split(separator: "+", maxSplits: 1).map(String.init)
    guard let name = parts.first else { return nil }
    var offset: UInt64 = 0
    if parts.count == 2 {
      guard let number = Quantity.number(parts[1]) else { return nil }
      offset = number
    }
    if !prepared.isPIE, let symbol = prepared.symbols.symbol(name) {
      return symbol.address &+ offset
    }
    return linux?.kernel.symbol(name).map { $0 &+ offset }
  }

  /// An address with its symbol: `0x10008 (add+0x2)`.
  public func describe(_ address: UInt64) -> String {
    let hex = "0x\(String(address, radix: 16))"
    if let image = linux?.kernel.image, let found = image.symbol(at: address) {
      return "\(hex) (\(found.name)+0x\(String(found.offset, radix: 16)))"
    }
    return prepared.describe(address).map { "\(hex) (\($0))" } ?? hex
  }

  // MARK: State

  /// A register of a hart by its name; `pc` too.
  ///
  /// - Parameters:
  ///   - name: as the guest's manuals have it.
  ///   - hart: the hart's number.
  /// - Returns: its value; `nil` where there is no such register or hart.
  public func register(_ name: String, hart: Int = 0) -> UInt64? {
    guard harts.indices.contains(hart) else { return nil }
    let hart = harts[hart]
    if name == "pc" { return hart.pc }
    let isa = prepared.scenario.machine.guest.makeProbeISA()
    if name == prepared.scenario.machine.guest.zeroRegister { return 0 }
    let slots = isa.stateSlots(ofKernel: false) + isa.stateSlots(ofKernel: true)
    let found = slots.first { $0.name == prepared.scenario.machine.guest.canonical(name) }
    return found.map { hart.x[$0.slot] & $0.mask }
  }

  /// Bytes at an address as the present address space has them; nothing is paged in.
  ///
  /// On a bare board the address is a physical one.
  public func memory(_ address: UInt64, _ count: Int) -> [UInt8]? {
    guard count >= 0, count <= 1 << 20, let ram else { return nil }
    guard let kernel = linux?.kernel else { return ram.bytes(address, count) }
    if address >= kernel.isa.userEnd { return kernel.readKernel(address, count) }
    guard let space = kernel.current?.space else { return nil }
    var bytes: [UInt8] = []
    for index in 0..<UInt64(count) {
      guard let pa = space.physical(address &+ index), let byte = ram.bytes(pa, 1)?.first else {
        return nil
      }
      bytes.append(byte)
    }
    return bytes
  }
}
