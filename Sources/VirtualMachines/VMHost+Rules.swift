import QEMU
import WarrenModel

extension VMHost {
    /// What only this host can find wrong with a spec.
    func faults(of spec: VMSpec) -> [FieldError] {
        var faults = rules.faults(of: spec)
        do throws(ImageError) {
            let image = try images.image(named: spec.image)
            let least = image.manifest.minimumMemoryMiB
            if spec.memoryMiB < least {
                faults.append(
                    FieldError(
                        pointer: "/memoryMiB",
                        code: .outOfRange,
                        detail: "Image \(image.name) needs at least \(least) MiB."
                    )
                )
            }
        } catch {
            faults.append(FieldError(pointer: "/image", code: .notFound, detail: error.reason.message))
        }
        if spec.memoryMiB > limits.perVM.maxMemoryMiB {
            faults.append(
                FieldError(
                    pointer: "/memoryMiB",
                    code: .outOfRange,
                    detail: "At most \(limits.perVM.maxMemoryMiB) MiB (vms.maxMemoryMiBPerVM)."
                )
            )
        }
        return faults
    }
}
