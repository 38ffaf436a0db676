import Engine
import GuestKernel

/// `emu syscalls`: the table of system calls as text.
public enum SyscallList {
  /// Which rows.
  public enum Filter: String, Sendable, CaseIterable {
    /// All that Linux does and that can be observed.
    case supported
    /// All but what the row says.
    case partial
    /// `ENOSYS`.
    case unsupported
  }

  /// A line a call in the order of the numbers, and a line with the sums.
  public static func text(
    _ filter: Filter?, of architecture: ProgramArchitecture = .riscv64
  ) -> String {
    let isa = architecture.kernel
    var counts: [Filter: Int] = [:]
    var out = ""
    for number in 0..<GenericSyscalls.count {
      guard let name = isa.syscallName(number) else { continue }
      let kind: Filter
      var note = ""
      switch SyscallTable.row(name)?.status ?? .unsupported {
      case .supported: kind = .supported
      case .partial(let missing):
        kind = .partial
        note = missing
      case .unsupported:
        kind = .unsupported
        note = "ENOSYS"
      }
      counts[kind, default: 0] += 1
      guard filter == nil || filter == kind else { continue }
      let line =
        pad("\(number)", 4, left: true) + "  " + pad(name, 26) + pad(kind.rawValue, 12) + note
      out += (note.isEmpty ? line.trimmed : line) + "\n"
    }
    let sums = Filter.allCases.map { "\($0.rawValue) \(counts[$0] ?? 0)" }
    return out + sums.joined(separator: ", ") + "\n"
  }

  private static func pad(_ text: String, _ width: Int, left: Bool = false) -> String {
    let space = String(repeating: " ", count: max(width - text.count, 0))
    return left ? space + text : text + space
  }
}

extension String {
  /// Without blanks at its end.
  fileprivate var trimmed: String {
    var text = self[...]
    while text.last == " " { text = text.dropLast() }
    return String(text)
  }
}
