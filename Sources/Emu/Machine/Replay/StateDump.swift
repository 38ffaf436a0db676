import Engine
import GuestKernel

/// What `emu replay --to N --dump` shows of a machine.
public enum StateDump: String, Sendable, CaseIterable {
  /// The registers of the hart.
  case regs
  /// Memory from the stack pointer on, with symbols.
  case stack
  /// The mappings of the task that runs.
  case maps
  /// The tasks.
  case tasks

  /// The lines.
  func lines(_ session: any GuestSession) -> [String] {
    switch self {
    case .regs: Self.registers(session)
    case .stack: Self.stack(session)
    case .maps: Self.maps(session)
    case .tasks: Self.tasks(session)
    }
  }

  private static func registers(_ session: any GuestSession) -> [String] {
    let hart = session.hart
    let isa = session.makeTraceISA()
    var lines = [
      "pc=\(hex(hart.pc, 16)) mode=\(isa.mode(hart).letter) \(session.symbol(hart.pc) ?? "")"
    ]
    let registers = isa.registers
    for first in stride(from: 0, to: registers.count, by: 4) {
      lines.append(
        registers[first..<min(first + 4, registers.count)].map {
          padded($0.name, 9) + hex(isa.value($0.slot, hart), 16)
        }.joined(separator: "  "))
    }
    return lines
  }

  private static func stack(_ session: any GuestSession) -> [String] {
    guard let program = session as? ProgramSession else {
      return ["stack: a bare board's is not known"]
    }
    let kernel = program.machine.kernel
    let sp = session.hart.x[session.makeTraceISA().stackPointer]
    var lines: [String] = []
    for index in 0..<UInt64(32) {
      let at = sp &+ 8 &* index
      let value: UInt64?
      if let pa = kernel.kernelAddress(at, 8) {
        value = kernel.ram.load(pa, as: UInt64.self)
      } else if let pa = kernel.current?.space?.physical(at), at & 4095 <= 4088 {
        value = kernel.ram.load(pa, as: UInt64.self)
      } else {
        value = nil
      }
      guard let value else { break }
      let symbol = session.symbol(value).map { "  \($0)" } ?? ""
      lines.append("sp+\(padded("\(8 * index)", 4)) \(hex(at, 16)): \(hex(value, 16))\(symbol)")
    }
    return lines.isEmpty ? ["stack: nothing is mapped at \(hex(sp, 16))"] : lines
  }

  private static func maps(_ session: any GuestSession) -> [String] {
    guard let space = (session as? ProgramSession)?.machine.kernel.current?.space else {
      return ["maps: no program runs"]
    }
    return space.mapsText().split(separator: "\n").map(String.init)
  }

  private static func tasks(_ session: any GuestSession) -> [String] {
    guard let kernel = (session as? ProgramSession)?.machine.kernel else {
      return ["tasks: a bare board's are not known"]
    }
    return kernel.tasks.values.sorted { $0.tid < $1.tid }.map { task in
      let mark = task === kernel.current ? "*" : " "
      return "\(mark) \(padded("\(task.tid)", 6, left: true)) \(task.state) \(task.comm)"
    }
  }
}
