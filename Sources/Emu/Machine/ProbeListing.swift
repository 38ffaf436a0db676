import Engine
import GuestKernel
import Image
import Probes

/// `emu probes -l`: which instructions can be probed, which can't and why.
public enum ProbeListing {
  /// What to list.
  public enum Subject: Sendable {
    /// A program or a library of the host.
    case file(String)
    /// The guest kernel of an instruction set.
    case kernel(ProgramArchitecture)
  }

  /// The listing, and at its end a line with the sums.
  ///
  /// A line an instruction: its address; of a file, its offset in it (`PATH:OFFSET`); `pr` where
  /// probes of entry and of return may be, `p` where one of the instruction may be, `-` where none
  /// may be; how a probe gets past it; its text; and why it is refused.
  ///
  /// - Parameters:
  ///   - subject: what to list.
  ///   - symbol: only this function.
  /// - Returns: the text, or why there is none.
  public static func text(
    _ subject: Subject, symbol: String? = nil
  ) -> Result<String, Listing.Failure> {
    do {
      let host = Host()
      var configuration = ProgramConfiguration()
      configuration.memory = 256 << 20
      var bytes: [UInt8] = []
      switch subject {
      case .kernel(let architecture): configuration.architecture = architecture
      case .file(let path):
        bytes = try Host.contents(of: path)
        if let known = ProgramArchitecture(elf: bytes) { configuration.architecture = known }
      }
      let machine = try ProgramMachine(configuration, host: host) { false }
      let isa = machine.isa.makeProbeISA()
      let probes = ProbeSubsystem(kernel: machine.kernel, isa: isa)
      let elf: ELFFile
      let check: (UInt64) throws(ProbeError) -> ProbedInsn
      let isKernel: Bool
      switch subject {
      case .kernel:
        guard let image = machine.kernel.image else { return failure("no kernel image", 125) }
        elf = image.elf
        isKernel = true
        check = { address throws(ProbeError) in try probes.checkKprobe(.address(address)) }
      case .file:
        elf = try ELFFile(
          bytes, requirements: ELFRequirements(machine: machine.kernel.isa.elfMachine))
        try machine.kernel.vfs.installProgram(Path("/file"), HostBytes(bytes))
        let kernel = machine.kernel
        let inode = try kernel.vfs.resolve(Path("/file"), kernel.vfs.makeContext()).inode
        isKernel = false
        check = { [elf] address throws(ProbeError) in
          guard let offset = elf.fileOffset(address) else {
            throw ProbeError(.EINVAL, "not in the file")
          }
          return try probes.checkUprobe(.inode(inode), offset: offset)
        }
      }
      var range: Range<UInt64>?
      if let symbol {
        guard let found = elf.symbols.symbol(symbol), !found.isAbsolute else {
          return failure("no symbol '\(symbol)'", 1)
        }
        let size = max(found.size, 1)
        range = found.address..<(found.address &+ min(size, .max &- found.address))
      }
      return .success(Walk(elf, isa, isKernel: isKernel, check).text(range))
    } catch let error as HostFileError {
      return failure(
        error.description,
        error.missing ? RunReport.Status.notFound : RunReport.Status.notExecutable)
    } catch let error as ELFError {
      guard case .file(let path) = subject else { return failure("\(error)", 125) }
      return failure("\(path): \(error)", RunReport.Status.notExecutable)
    } catch {
      return failure("\(error)", RunReport.Status.failure)
    }
  }

  private static func failure(_ text: String, _ status: Int32) -> Result<String, Listing.Failure> {
    .failure(Listing.Failure(description: text, status: status))
  }

  /// A walk through a file's instructions.
  private struct Walk {
    let elf: ELFFile
    let isa: any ProbeISA
    let isKernel: Bool
    let check: (UInt64) throws(ProbeError) -> ProbedInsn

    init(
      _ elf: ELFFile, _ isa: any ProbeISA, isKernel: Bool,
      _ check: @escaping (UInt64) throws(ProbeError) -> ProbedInsn
    ) {
      self.elf = elf
      self.isa = isa
      self.isKernel = isKernel
      self.check = check
    }

    func text(_ only: Range<UInt64>?) -> String {
      var out = ""
      var counts = [0, 0, 0]
      let range = only ?? (isKernel ? InsnSweep.kernelText(elf) : nil)
      InsnSweep(elf, isa, in: range).visit { out += line($0, $1, &counts) }
      let sum = counts.reduce(0, +)
      return out
        + "\(sum) instructions: \(counts[0]) out of line, \(counts[1]) simulated, "
        + "\(counts[2]) refused\n"
    }

    private func line(_ pc: UInt64, _ bytes: [UInt8], _ counts: inout [Int]) -> String {
      var out = ""
      var isEntry = false
      if let here = elf.symbols.symbol(at: pc), here.offset == 0 {
        out += "\n\(here.symbol.name):\n"
        isEntry = here.symbol.kind == .function || isKernel
      }
      var marks = isEntry ? "pr" : "p"
      var how = ""
      var reason = ""
      do throws(ProbeError) {
        let insn = try check(pc)
        switch insn.verdict {
        case .outOfLine: (how, counts[0]) = ("out of line", counts[0] + 1)
        case .simulate: (how, counts[1]) = ("simulate", counts[1] + 1)
        case .refuse(let why, _): reason = why
        }
      } catch {
        reason = error.description
      }
      if how.isEmpty { (how, marks, counts[2]) = ("refuse", "-", counts[2] + 1) }
      let address = String(pc, radix: 16)
      out += String(repeating: " ", count: max(10 - address.count, 0)) + address
      if !isKernel {
        let offset = elf.fileOffset(pc).map { "0x\(String($0, radix: 16))" } ?? "-"
        out += "  " + offset + String(repeating: " ", count: max(9 - offset.count, 0))
      }
      let insn = isa.disassemble(bytes, at: pc).replacing("\t", with: " ")
      out += "  \(marks)" + String(repeating: " ", count: 4 - marks.count) + how
      out += String(repeating: " ", count: 13 - how.count) + insn
      if !reason.isEmpty {
        out += String(repeating: " ", count: max(32 - insn.count, 1)) + "# " + reason
      }
      return out + "\n"
    }
  }
}
